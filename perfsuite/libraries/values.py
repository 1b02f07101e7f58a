"""Numbers in the texts of evidence, read again."""

from __future__ import annotations

import re


def part(value: str) -> tuple[int, int] | None:
    """Return both numbers of a text that begins like `13 of 14 layers`; None of any other."""
    found = re.match(r"(\d+) of (\d+)\b", value)
    return (int(found[1]), int(found[2])) if found else None


def counts(value: str) -> dict[str, int]:
    """Return what is counted in a text such as `12 contiguous, 1 neither`, by its word."""
    return {word: int(number) for number, word in re.findall(r"(\d+) ([\w-]+)", value)}
