"""The choice that a pass made by measured times, kept in a file.

Times differ from one measurement to the next. A fit that was killed must go on with the choice that
it made first, or its half-trained weights would have other shapes.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from perfsuite.domain.recipe import Target
from perfsuite.store.disk import writable, write_whole
from perfsuite.store.room import room_for

Choice = TypeVar("Choice")


def clock_identity(target: Target) -> str:
    """Return, as text, all that times measured on `target` depend on.

    `target.quantized` is left out, because no quantized graphs are timed, and so is the identity of
    a processor, whose features are part of `target.features`.
    """
    fields = msgspec.structs.asdict(target)
    del fields["quantized"]
    identity = fields.pop("identity")
    if identity is not None and not identity.is_processor:
        fields["identity"] = identity.key
    return msgspec.json.encode(fields, order="sorted").decode()


def load_or_choose(path: Path, kind: type[Choice], choose: Callable[[], Choice]) -> Choice:
    """Return the choice in the JSON file `path`, or what `choose` gives, which is then written.

    A file that is not valid JSON for `kind` is replaced. The choice is returned as it is read back
    from JSON, so tuples have become lists. Raises `PerfsuiteError` when the disk is full.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except (FileNotFoundError, msgspec.DecodeError):
        data = msgspec.json.encode(choose())
    writable(path.parent)
    with room_for(path):
        write_whole(path, data)
    return msgspec.json.decode(data, type=kind)
