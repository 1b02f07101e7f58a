"""Pictures of test samples: what a variant newly gets wrong, and what it draws, beside fp32's."""

from __future__ import annotations

from base64 import b64encode
from collections import Counter
from collections.abc import Iterator

from perfsuite.domain.pictures import Box, Look, Picture, Pictures, Said
from perfsuite.report.html.blocks import Block, Fold, Folds, Section, Shot, Shots, Text, View
from perfsuite.report.html.page import Page
from perfsuite.report.tables.cell_rows import plain
from perfsuite.store.pictures import image_of, read_pictures

_SIDE = 190  # pixels of the longer side of a picture with something drawn on it
_PLAIN = 96  # of one without
_LEVELS, _DARK = 5, 0.75  # of what darkens a picture, and its darkest
_NAMED = 6  # boxes that are told in words


def pictures(page: Page) -> Section | None:
    """Return some test samples of each cell, from the side files of a run; None without a folder.

    What the run has no pictures of is said, with the reason.
    """
    answered = [row for row in page.rows if row.accuracy is not None]
    if page.folder is None or not answered:
        return None
    folds, reasons = list[Fold](), Counter[str]()
    drawn: set[str] = set()
    for row in answered:
        found = read_pictures(page.folder, row.cell.id)
        if found.note:
            reasons[found.note] += 1
        if found.pictures:
            shots = _shots(page, found, row.cell.recipe, drawn)
            folds.append(Fold(f"{plain(row.key)}: {_counted(found)}", (shots,)))
        elif found.newly_wrong == 0:
            folds.append(Fold(f"{plain(row.key)}: {_counted(found)}", (Text((_right(found),)),)))
    blocks: list[Block] = [Folds("cell", folds)] if folds else []
    told = tuple(
        f"{count} cell{'s' * (count != 1)}: {plain(why)}" for why, count in reasons.items()
    )
    if told:
        blocks.append(Text(told, "quiet"))
    return Section("pictures", "Pictures", blocks, _INTRO)


_INTRO = (
    "Test samples, as the task shows them. Of classes, those that a cell gets wrong and the one "
    "that it is compared with gets right; of boxes and captions, the first ones of the test set, "
    "chosen by nobody."
)


def _counted(found: Pictures) -> str:
    """Return how many there are, and of what they are some."""
    if found.chosen == "first":
        return f"the first {len(found.pictures)} of {found.samples:,} samples"
    shown = len(found.pictures)
    some = f", {shown} shown" if found.newly_wrong != shown else ""
    return (
        f"{found.newly_wrong:,} of {found.samples:,} newly wrong{some}; "
        f"{found.newly_right:,} newly right"
    )


def _right(found: Pictures) -> str:
    return f"None of {found.samples:,} samples is wrong here that was right before."


def _shots(page: Page, found: Pictures, recipe: str, drawn: set[str]) -> Shots:
    """Return the samples of a cell, and the images that no cell before has brought."""
    assert page.folder is not None
    images: dict[str, str] = {}
    for one in found.pictures:
        content = image_of(page.folder, one)
        name, _, suffix = one.file.partition(".")
        if content is None or name in drawn:
            continue
        drawn.add(name)
        kind = "png" if suffix == "png" else "jpeg"
        images[name] = f"data:image/{kind};base64,{b64encode(content).decode()}"
    return Shots(images, [_shot(one, recipe) for one in found.pictures])


def _shot(one: Picture, recipe: str) -> Shot:
    answers = [("true", one.truth), ("before", one.before), (recipe, one.answer)]
    said = [(whose, what) for whose, what in answers if what is not None]
    has_drawings = any(what.boxes or what.looks for _, what in said)
    side = _SIDE if has_drawings else _PLAIN
    width = max(8, round(side * min(1.0, one.width / max(1, one.height))))
    views = [view for whose, what in said for view in _views(whose, what)] if has_drawings else []
    words = "" if has_drawings else "; ".join(f"{who}: {plain(what.words)}" for who, what in said)
    if not views:
        views = [View(f"sample {one.sample}", f"sample {one.sample}, {words}")]
    name = one.file.partition(".")[0]
    return Shot(name, one.width, one.height, width, views, words)


def _views(whose: str, what: Said) -> Iterator[View]:
    """Yield one picture with boxes, or one for each word, and of words alone the words."""
    if what.looks:
        for look in what.looks:
            word = plain(look.word)
            told = f"{whose}: where '{word}' was looked for"
            yield View(f"{whose}: {word}", told, shades=_shades(look), grid=_grid(look))
        return
    if what.words:
        yield View(f"{whose}: {plain(what.words)}", f"{whose}: {plain(what.words)}")
        return
    told = f"{whose}: {_boxes_told(what.boxes)}"
    yield View(told, told, boxes=what.boxes)


def _boxes_told(boxes: tuple[Box, ...]) -> str:
    """Return the boxes by name: `3 RBC, 1 WBC 0.98`."""
    if not boxes:
        return "no box"
    named = Counter(plain(box.label) for box in boxes)
    parts = [f"{count} {name}" for name, count in named.most_common(_NAMED)]
    return ", ".join(parts) + (", and others" if len(named) > _NAMED else "")


def _grid(look: Look) -> tuple[int, int]:
    columns = max(1, min(look.columns, len(look.weights) or 1))
    return columns, max(1, -(-len(look.weights) // columns))


def _shades(look: Look) -> list[tuple[float, str]]:
    """Return dark paths over what was not looked at: a path for each level, along the rows."""
    columns, _ = _grid(look)
    paths: dict[int, list[str]] = {}
    begin, before = 0, -1
    levels = [_LEVELS - round(min(max(one, 0), 255) / 255 * _LEVELS) for one in look.weights]
    for place, level in enumerate([*levels, -1]):
        if level == before and place % columns:
            continue
        if before > 0:
            row, column = divmod(begin, columns)
            width = place - begin
            paths.setdefault(before, []).append(f"M{column} {row}h{width}v1h-{width}z")
        begin, before = place, level
    return [(_DARK * level / _LEVELS, "".join(found)) for level, found in sorted(paths.items())]
