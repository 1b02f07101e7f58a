"""What passes have made of a net, for the terminal and Markdown: widths, or another net."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

from perfsuite.domain.record import LayerWidth, Replacement
from perfsuite.report import words
from perfsuite.report.tables.cell_rows import CellRow, plain

TITLE = "What was changed"
COLUMNS = ("layer", "before", "after", "stays", "why left alone")

_BAR = 16  # characters
_NAMED = 3  # layers, where several have one reason
_SHOWN = 8  # layers that stay in float for one reason
_NUMBER = re.compile(r"\.\d+(?=[.,])")

Widths = tuple[LayerWidth, ...]
_Told = TypeVar("_Told", Widths, Replacement)


def changed(group: Sequence[CellRow]) -> dict[str, Widths]:
    """Return the layers of each net by its recipes, as one net may be in several cells.

    If runtimes have different nets for one recipe, the names of the runtimes are added.
    """
    return _by_recipes(group, lambda row: row.widths or None)


def replaced(group: Sequence[CellRow]) -> dict[str, str]:
    """Return, by recipes as in `changed`, by which net the model was replaced, in words."""
    found = _by_recipes(group, lambda row: row.replaced)
    return {
        name: plain(f"replaced by {one.by}, {one.after:,} parameters for {one.before:,}")
        for name, one in found.items()
    }


def _by_recipes(
    group: Sequence[CellRow], told: Callable[[CellRow], _Told | None]
) -> dict[str, _Told]:
    recipes: dict[_Told, dict[str, None]] = {}
    nets: dict[str, set[_Told]] = {}
    said = [(row.cell, one) for row in group if (one := told(row)) is not None]
    for cell, one in said:
        nets.setdefault(cell.recipe, set()).add(one)
    for cell, one in said:
        several = len(nets[cell.recipe]) > 1
        name = f"{cell.recipe}/{cell.runtime}" if several else cell.recipe
        recipes.setdefault(one, {})[plain(name)] = None
    return {", ".join(names): one for one, names in recipes.items()}


def sentence(widths: Widths) -> str:
    """Return `14 layers: 12 narrower, 1 gone; 58 % of all channels stay`."""
    narrower = sum(0 < one.after < one.before for one in widths)
    wider = sum(one.after > one.before for one in widths)
    gone = sum(one.after == 0 for one in widths)
    factorized = sum(bool(one.ranks) for one in widths)
    counts = ((narrower, "narrower"), (wider, "wider"), (gone, "gone"), (factorized, "factorized"))
    told = [f"{count} {what}" for count, what in counts if count]
    before, after = (sum(getattr(one, side) for one in widths) for side in ("before", "after"))
    rest = f"; {words.percent(after / before)} of all channels stay" if after != before else ""
    return f"{len(widths)} layer{'s' * (len(widths) != 1)}: {', '.join(told)}{rest}"


def reasons(widths: Widths) -> Iterator[str]:
    """Yield a line for each reason why layers were left alone: `2 layers (a, b): their reason`.

    Reasons that name modules of blocks that are alike, such as `blocks.1.norm` and
    `blocks.2.norm`, are one.
    """
    for text in by_reason({one.layer: one.left for one in widths if one.left}):
        yield f"left alone: {text}"


def by_reason(left: Mapping[str, str]) -> Iterator[str]:
    """Yield `2 layers (a, b): their reason` for each reason, the commonest first."""
    found: dict[str, list[str]] = {}
    for layer, why in left.items():
        found.setdefault(_NUMBER.sub(".*", why), []).append(layer)
    for why, layers in sorted(found.items(), key=lambda item: -len(item[1])):
        some = ", ".join(layers[:_NAMED]) + (", …" if len(layers) > _NAMED else "")
        count = f"{len(layers)} layer{'s' * (len(layers) != 1)}"
        yield plain(f"{count} ({some}): {why}")


def kept(row: CellRow) -> list[str]:
    """Return a line for each reason why layers stay in float by a pass, with these layers.

    What a reason says of its layer alone, before a semicolon, stands behind the layer.
    """
    found: dict[str, list[str]] = {}
    for layer, why in row.left.items():
        own, _, shared = why.rpartition("; ")
        found.setdefault(shared, []).append(f"{layer}: {own}" if own else layer)
    told = []
    for why, layers in found.items():
        more = f"; and {len(layers) - _SHOWN} more" if len(layers) > _SHOWN else ""
        count = "1 layer stays" if len(layers) == 1 else f"{len(layers)} layers stay"
        told.append(plain(f"{count} in float, {why} ({'; '.join(layers[:_SHOWN])}{more})"))
    return told


def lines(widths: Widths) -> Iterator[tuple[str, ...]]:
    """Yield the texts of each layer, in the order of `COLUMNS`."""
    for one in widths:
        after = str(one.after) if one.after else "gone"
        if one.ranks:
            after += f", rank {' and '.join(map(str, one.ranks))}"
        bar = "█" * round(_BAR * min(1.0, one.after / one.before))
        yield plain(one.layer), str(one.before), after, bar, plain(one.left)
