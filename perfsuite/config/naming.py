"""The names that stand in the keys of cells, and the references that they stand for."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from perfsuite.config.conversion import Location
from perfsuite.plugins import suggestion

_NAME = re.compile(r"[^\s/\\*?\[\]]+")

_CARD = "cuda"
_CARDS = re.compile(r"(?:cuda|gpu|nvidia)(?::(\d+))?", re.IGNORECASE)
_CAPABILITY = re.compile(r"(?:sm|compute)?[_ .]?(\d+)\.?(\d)", re.IGNORECASE)


def suggested(word: str, known: Collection[str], others: Sequence[str] = ()) -> str:
    """Return, as the end of an error, what a device or precision that nobody has may stand for.

    `known` are those that somebody has, `others` the runtimes that were not asked for and have it.
    """
    if others:
        return f"; {', '.join(others)} {'has' if len(others) == 1 else 'have'} it"
    if word.lower() == "int8":
        return '; INT8 is made by a pass: a recipe with passes = ["int8"]'
    if (capability := _CAPABILITY.fullmatch(word)) is not None:
        return _for_capability("sm_" + capability[1] + capability[2], known)
    found = _CARDS.fullmatch(word)
    if found is None or _CARD not in known:
        return suggestion(word, known)
    if found[1] is not None:
        return f"; a card is '{_CARD}', and CUDA_VISIBLE_DEVICES={found[1]} says which one it is"
    return f"; did you mean '{_CARD}'?"


def having(word: str, attribute: str, table: Mapping[str, Callable[[], Any]]) -> list[str]:
    """Return the runtimes that have `word` among their `devices` or `precisions`, and run nets."""
    made = {name: make() for name, make in sorted(table.items())}
    return [
        name
        for name, one in made.items()
        if one.takes != "nothing" and word in getattr(one, attribute)
    ]


def _for_capability(word: str, known: Collection[str]) -> str:
    """Return what to write for cards of a compute capability: the nearest one is another card."""
    if word in known:
        return f"; did you mean '{word}'?"
    listed = f"; known: {', '.join(sorted(known))}"
    return f"{listed}; on a machine with such a card it is '{_CARD}'" if _CARD in known else listed


def named(references: Sequence[str], folder: Path, location: Location) -> dict[str, str]:
    """Return references, with absolute paths, by the names that are used in cell keys."""
    named: dict[str, str] = {}
    for index, given in enumerate(references):
        here = location.item(index)
        name, reference = name_and_reference(given, folder, here)
        if name in named:
            raise here.error(
                f"a second '{name}': keys of cells could not tell it from the first; rename one"
            )
        named[name] = reference
    return named


def name_and_reference(given: str, folder: Path, location: Location) -> tuple[str, str]:
    """Return the name used in cell keys, and the reference with its path absolute.

    Raises `ConfigError`, with `location`, for a name that cannot be part of a key.
    """
    reference = absolute(given, folder, location)
    advice = ""
    if ":" in reference:  # file.py:name, torchvision:name
        name = reference.rpartition(":")[2]
    elif reference.endswith(".onnx"):
        name, advice = Path(reference).stem, "; rename the file, or give it a link"
    else:
        name, advice = reference, "; a file is written as net.onnx or my_models.py:my_net"
    check_name(name, location, advice)
    return name, reference


def absolute(reference: str, folder: Path, location: Location) -> str:
    """Return the reference with its path, if it has one, made absolute."""
    if ".py:" in reference:
        file, _, name = reference.rpartition(":")
        if not name.isidentifier():
            raise location.error(f"'{name}' is no name in a Python file: write file.py:name")
        return f"{(folder / file).resolve()}:{name}"
    if reference.endswith(".onnx"):
        path = folder / reference
        target = path.resolve()
        # Caches of model hubs have links to files that are named by their content alone.
        return str(target if target.suffix == ".onnx" else path.parent.resolve() / path.name)
    return reference


def check_name(name: str, location: Location, advice: str = "") -> None:
    """Raise for a name that cannot be part of a cell's key, which globs must match."""
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise location.error(
            f"{name!r} cannot be a name: no '/', no '\\', no spaces, none of * ? [ ], not empty"
            f"{advice}"
        )


def refuse_twins(values: Sequence[object], location: Location, key: str = "") -> None:
    """Raise for a value that occurs twice; `key` is its key within an item of the array, if any."""
    for index, value in enumerate(values):
        first = values.index(value)
        if first < index:
            here = location.item(index)
            raise (here.key(key) if key else here).error(f"{value!r} stands at [{first}] already")
