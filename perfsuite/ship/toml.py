"""Plain data written as TOML."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def table_text(table: Mapping[str, Any]) -> str:
    """Return the lines of a table: a key with its value in each, without those that are None."""
    return "".join(
        f"{_key(key)} = {value_text(value)}\n" for key, value in table.items() if value is not None
    )


def value_text(value: Any) -> str:
    """Return a value on one line: a text, a number, an array or an inline table."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        inside = (
            f"{_key(key)} = {value_text(one)}" for key, one in value.items() if one is not None
        )
        return f"{{ {', '.join(inside)} }}"
    if isinstance(value, Sequence):
        return f"[{', '.join(map(value_text, value))}]"
    raise TypeError(f"a {type(value).__name__} has no form in TOML")


def _text(text: str) -> str:
    """Return a text in quotes; JSON's escapes are TOML's, except that it lacks one."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)
