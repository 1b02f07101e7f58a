"""The libraries underneath: which are used, by whom, and with which instruction sets."""

from __future__ import annotations

from collections.abc import Sequence

from perfsuite.domain.diagnosis import Diagnosis, Library, LibraryUse, Machine
from perfsuite.libraries.faults.machine import NOT_SEEN
from perfsuite.report import words
from perfsuite.report.tables.cell_rows import plain

SYMBOLS = {"used": "✓", "loaded": " "}
_UNKNOWN = "not told"
_ONLY_LOADED = "loaded; nothing shows that it is used"
_LAST = "dispatched to"


def machine_text(here: Machine) -> str:
    """Return the machine in one line: processor, instruction sets, cores, and what holds it up."""
    cores = f"{here.usable_cores} core{'s' * (here.usable_cores != 1)}"
    parts = [
        plain(here.card),
        plain(here.processor),
        ", ".join(here.instruction_sets),
        cores,
        "no quota" if here.quota_cores is None else f"quota of {here.quota_cores:g} cores",
        "" if here.memory_bytes is None else f"{words.size(here.memory_bytes)} of memory",
        f"governor {plain(here.governor) or _UNKNOWN}",
        f"boost {here.boost}" if here.boost else "",
        "" if here.load_average is None else f"load {here.load_average:g}",
    ]
    return "; ".join(part for part in parts if part)


def columns(found: Diagnosis) -> tuple[str, ...]:
    """Return the names of the columns of `lines`; the last has the best that the processor has."""
    here = ", ".join(found.machine.instruction_sets)
    return ("", "library", "version", "used", f"{_LAST}\n(of {here})" if here else _LAST)


def lines(found: Diagnosis) -> list[tuple[str, ...]]:
    """Return the lines of a table of the libraries that any process had."""
    return [_line(one, found) for one in found.libraries if one.status != "absent"]


def absent(found: Diagnosis) -> str:
    """Return a sentence on the libraries that no process had; "" if there are none."""
    names = ", ".join(plain(one.name) for one in found.libraries if one.status == "absent")
    if not names:
        return ""
    if any(one.name == NOT_SEEN for one in found.findings):
        return f"not seen, as loaded files cannot be looked at: {names}"
    return f"not loaded by any of these processes: {names}"


def numpy_text(found: Diagnosis) -> str:
    """Return a sentence on NumPy's BLAS."""
    if found.numpy.how is None:
        return f"NumPy: {plain(found.numpy.problem)}"
    return f"NumPy multiplies with {plain(found.numpy.blas)} ({found.numpy.how})"


def _line(one: Library, found: Diagnosis) -> tuple[str, ...]:
    known = f" ({one.instruction_set_known})" if one.instruction_set_known else ""
    return (
        SYMBOLS[one.status],
        plain(one.name),
        ", ".join(_version(text) for text in one.versions) or _UNKNOWN,
        _used(one.used_by, found) or _ONLY_LOADED,
        f"{plain(one.instruction_set)}{known}" if one.instruction_set else _UNKNOWN,
    )


def _version(text: str) -> str:
    """Return a version without what names its build, such as `2026.4.1` and a commit."""
    number, _, inside = plain(text).partition(" ")
    return " ".join(filter(None, [number.partition("-")[0], inside]))


def _used(uses: Sequence[LibraryUse], found: Diagnosis) -> str:
    """Return who used it, those of the same text and knowledge together."""
    by_text: dict[str, list[str]] = {}
    for use in uses:
        by_text.setdefault(f"{plain(use.text)} ({use.how})", []).append(_who(use.cell, found))
    return "\n".join(f"{', '.join(cells)}: {text}" for text, cells in by_text.items())


def _who(key: str, found: Diagnosis) -> str:
    """Return a cell's recipe and runtime, which name it here; of others the name that they have."""
    cell = next((one for one in found.cells if one.key == key), None)
    return plain(key if cell is None else f"{cell.runtime} {cell.recipe}")
