"""The kernels of a net's layers, shortened: odd layers first, the others in groups."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from perfsuite.domain.diagnosis import Layer
from perfsuite.domain.finding import LayerKernel
from perfsuite.report.tables.cell_rows import plain

COLUMNS = ("layers", "operator", "kernel", "library", "instruction set", "precision", "known")
WHOLE = 12  # so many layers are shown one by one
_ODD = 0.1  # a group with less of the layers is odd
_ODD_LAYERS = 10  # of these, to be shown one by one
_NAMED = 3  # operators and kernels of a group
_UNKNOWN = "?"

Line = tuple[str, ...]
_Kind = tuple[str, str, str, str]
_Layer = Layer | LayerKernel


def lines(layers: Sequence[_Layer]) -> list[Line]:
    """Return the lines of a table, in the order of `COLUMNS`.

    Few layers stand one by one. Of many, those of a small group (by library, instruction set,
    precision, and how that is known) come first, and each larger group is one line.
    """
    if len(layers) <= WHOLE:
        return [_one(layer) for layer in layers]
    groups = _groups(layers)
    odd = [one for group in groups if _is_odd(group, layers) for one in group]
    shown = [_one(layer) for layer in odd[:_ODD_LAYERS]]
    if left := odd[_ODD_LAYERS:]:
        shown.append(_together(left, f"{len(left)} more of few"))
    return shown + [
        _together(group, f"{len(group)} layers")
        for group in reversed(groups)
        if not _is_odd(group, layers)
    ]


def _groups(layers: Iterable[_Layer]) -> list[list[_Layer]]:
    """Return the layers by kind, the smallest group first."""
    groups: dict[_Kind, list[_Layer]] = {}
    for one in layers:
        kind = (one.library, one.instruction_set, one.precision, one.how)
        groups.setdefault(kind, []).append(one)
    return sorted(groups.values(), key=len)


def _is_odd(group: Sequence[_Layer], layers: Sequence[_Layer]) -> bool:
    return len(group) <= _ODD * len(layers)


def _one(layer: _Layer) -> Line:
    return _together([layer], plain(layer.layer))


def _together(group: Sequence[_Layer], name: str) -> Line:
    columns = (
        (one.operator for one in group),
        (one.kernel for one in group),
        (one.library for one in group),
        (one.instruction_set for one in group),
        (one.precision for one in group),
        (one.how for one in group),
    )
    return (name, *map(_some, columns))


def _some(texts: Iterable[str]) -> str:
    """Return the different texts, the most frequent first, of many only some; `?` without any."""
    counts: dict[str, int] = {}
    for text in texts:
        counts[plain(text)] = counts.get(plain(text), 0) + 1
    found = [text for text in sorted(counts, key=lambda one: -counts[one]) if text]
    more = len(found) - _NAMED
    named = ", ".join(found[:_NAMED]) + (f" and {more} more" if more > 0 else "")
    return named or _UNKNOWN
