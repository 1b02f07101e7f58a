"""Scenes composed of CIFAR-10 pictures on generated backgrounds, with known contents.

A scene depends only on the seed, the split and its index, and is never stored. Scenes of a split
are composed of pictures of that split, so that no test picture is used in training; those for
validation share pictures with those for calibration alone. Results on them are labelled as
semi-synthetic.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from perfsuite.data import cifar10
from perfsuite.data.noise import colour, smooth_noise, uniform
from perfsuite.data.samples import SEEDS

NAMES = cifar10.NAMES
VEHICLES = tuple(NAMES.index(name) for name in ("airplane", "automobile", "ship", "truck"))
ANIMALS = tuple(label for label in range(len(NAMES)) if label not in VEHICLES)

SEED = 20260423
VERSION = 1  # of the scenes, to be raised when they change

SMALL, LARGE = (16.0, 20.0), (26.0, 32.0)  # pixels a side, in a scene of two
_TRIES = 30  # positions that are tried for an item


class Kind(NamedTuple):
    """A kind of scene."""

    name: str
    side: int  # of the scene, in pixels
    steepest: float  # the largest tilt, the tangent of half the angle


TRAFFIC = Kind("traffic", 96, 0.2)  # some vehicles, perhaps animals between them
PAIR = Kind("pair", 72, 0.08)  # one item, or a large and a small one


class SceneItem(NamedTuple):
    """One pasted picture: its number in the split's pictures, its class and its position.

    Its centre and size (the side of the square) are in pixels. It is rotated by the angle whose
    half has the tangent `tilt`, and may be mirrored.
    """

    number: int
    label: int
    middle: tuple[float, float]
    size: float
    tilt: float
    mirrored: bool

    def turn(self) -> tuple[float, float]:
        """Return cosine and sine of the angle, computed from the tangent of its half."""
        square = self.tilt * self.tilt
        return (1 - square) / (1 + square), 2 * self.tilt / (1 + square)

    def box(self) -> tuple[float, float, float, float]:
        """Return left, top, right, bottom of the rotated square."""
        cos, sin = self.turn()
        half = self.size / 2 * (cos + abs(sin))
        x, y = self.middle
        return x - half, y - half, x + half, y + half


class Word(NamedTuple):
    """A word of a caption, and the index of the item that it names, or None."""

    text: str
    item: int | None = None


def fingerprint() -> str:
    """Return a text that changes when the scenes of any split do."""
    return f"scenes {VERSION} seed={SEED} of {cifar10.fingerprint()}"


def traffic(split: str, index: int) -> tuple[SceneItem, ...]:
    """Return one to four vehicles of 18 to 40 pixels, and up to two animals; none overlap."""
    rng = _generator(TRAFFIC, split, index, 0)
    wanted = [VEHICLES] * int(rng.integers(1, 5)) + [ANIMALS] * int(rng.integers(0, 3))
    items: list[SceneItem] = []
    for classes in wanted:
        label = classes[int(rng.integers(len(classes)))]
        drawn = _placed(TRAFFIC, split, label, (18, 40), items, rng)
        if drawn is not None:
            items.append(drawn)
    return tuple(items)


def pair(split: str, index: int) -> tuple[SceneItem, ...]:
    """Return a large and a small item, in that order, or in a quarter of the scenes just one.

    Two items never overlap, and their centres differ clearly more along one axis than the other.
    """
    rng = _generator(PAIR, split, index, 0)
    alone = float(rng.random()) < 0.25
    sizes: tuple[tuple[float, float], ...] = (LARGE, SMALL)
    if alone:
        sizes = (SMALL,) if float(rng.random()) < 0.5 else (LARGE,)
    while True:
        items: list[SceneItem] = []
        for size in sizes:
            drawn = _placed(PAIR, split, int(rng.integers(len(NAMES))), size, items, rng)
            if drawn is not None:
                items.append(drawn)
        if len(items) == len(sizes) and (alone or _is_clear(*items)):
            return tuple(items)


def caption(items: tuple[SceneItem, ...]) -> tuple[Word, ...]:
    """Return the caption of a pair, such as `a large dog left of a small truck`."""
    described = [
        (Word("a"), Word("small" if item.size <= SMALL[1] else "large", place), _noun(item, place))
        for place, item in enumerate(items)
    ]
    if len(items) == 1:
        return described[0]
    dx, dy = (one - other for one, other in zip(items[0].middle, items[1].middle, strict=True))
    if abs(dx) > abs(dy):
        relation = "left of" if dx < 0 else "right of"
    else:
        relation = "above" if dy < 0 else "below"
    return (*described[0], *map(Word, relation.split()), *described[1])


def paint(kind: Kind, split: str, index: int, items: tuple[SceneItem, ...]) -> np.ndarray:
    """Return the scene as uint8 (side, side, 3)."""
    rng = _generator(kind, split, index, 1)
    scene = _ground(kind.side, rng)
    pictures = _pictures(split).images
    for item in items:
        _paste(scene, pictures[item.number].astype(np.float32), item)
    scene += 6 * (rng.random(scene.shape, dtype=np.float32) - np.float32(0.5))
    painted: np.ndarray = np.clip(scene, 0, 255).astype(np.uint8)
    return painted


def boxes_of(items: tuple[SceneItem, ...]) -> np.ndarray:
    """Return the items' float32 boxes (n, 4): left, top, right, bottom."""
    return np.array([item.box() for item in items], np.float32).reshape(-1, 4)


def _generator(kind: Kind, split: str, index: int, part: int) -> np.random.Generator:
    # Items and appearance have generators of their own, as items are often needed alone.
    which = (TRAFFIC, PAIR).index(kind)
    return np.random.default_rng((SEED, which, SEEDS[split], index, part))


@cache
def _pictures(split: str) -> cifar10.Samples:
    return cifar10.load(split)


@cache
def _numbers(split: str) -> tuple[np.ndarray, ...]:
    """Return, for each class, the numbers of its pictures in `split`."""
    labels = np.asarray(_pictures(split).labels)
    return tuple(np.flatnonzero(labels == label) for label in range(len(NAMES)))


def _noun(item: SceneItem, place: int) -> Word:
    return Word(NAMES[item.label], place)


def _placed(
    kind: Kind,
    split: str,
    label: int,
    sizes: tuple[float, float],
    others: list[SceneItem],
    rng: np.random.Generator,
) -> SceneItem | None:
    """Return an item of class `label` that overlaps no other; None if none was found."""
    numbers = _numbers(split)[label]
    number = int(numbers[int(rng.integers(len(numbers)))])
    size, tilt = uniform(rng, *sizes), uniform(rng, -kind.steepest, kind.steepest)
    mirrored = bool(rng.integers(2))
    for _ in range(_TRIES):
        item = SceneItem(number, label, (0.0, 0.0), size, tilt, mirrored)
        half = item.box()[2]
        middle = (uniform(rng, half, kind.side - half), uniform(rng, half, kind.side - half))
        item = item._replace(middle=middle)
        if not any(_overlap(item.box(), other.box()) for other in others):
            return item
    return None


def _overlap(one: tuple[float, ...], other: tuple[float, ...]) -> bool:
    apart = one[2] <= other[0] or other[2] <= one[0] or one[3] <= other[1] or other[3] <= one[1]
    return not apart


def _is_clear(one: SceneItem, other: SceneItem) -> bool:
    dx, dy = (abs(a - b) for a, b in zip(one.middle, other.middle, strict=True))
    return max(dx, dy) > 1.4 * min(dx, dy)


def _ground(side: int, rng: np.random.Generator) -> np.ndarray:
    """Return a float32 background of two colours, with coarse and fine structure."""
    mixture = 0.6 * smooth_noise(rng, 3, 3, side) + 0.4 * smooth_noise(rng, 12, 12, side)
    near, far = (colour(rng, (20, 20, 20), (235, 235, 235)) for _ in range(2))
    ground: np.ndarray = near + mixture[..., None] * (far - near)
    rough = smooth_noise(rng, 24, 24, side) - np.float32(0.5)
    ground += rough[..., None] * uniform(rng, 5, 60)
    return ground


def _paste(scene: np.ndarray, picture: np.ndarray, item: SceneItem) -> None:
    """Draw a picture into `scene`, rotated and scaled; it fades out towards its edges."""
    side = len(scene)
    left, top, right, bottom = item.box()
    rows = slice(max(0, int(top)), min(side, int(bottom) + 1))
    columns = slice(max(0, int(left)), min(side, int(right) + 1))
    if item.mirrored:
        picture = picture[:, ::-1]
    if item.size < 0.75 * len(picture):  # averaged first, or pixels would be left out
        picture = (
            picture[::2, ::2] + picture[1::2, ::2] + picture[::2, 1::2] + picture[1::2, 1::2]
        ) * np.float32(0.25)
    y = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] + 0.5 - item.middle[1]
    x = np.arange(columns.start, columns.stop, dtype=np.float32)[None] + 0.5 - item.middle[0]
    cos, sin = item.turn()
    across, down = cos * x + sin * y, cos * y - sin * x
    # Covered wholly but for an eighth at each edge.
    edge = 8 / item.size
    cover = np.clip((item.size / 2 - np.abs(across)) * edge, 0, 1)
    cover = cover * np.clip((item.size / 2 - np.abs(down)) * edge, 0, 1)
    scale = len(picture) / item.size
    middle = (len(picture) - 1) / 2
    seen = _bilinear(picture, down * scale + middle, across * scale + middle)
    scene[rows, columns] += cover[..., None] * (seen - scene[rows, columns])


def _bilinear(picture: np.ndarray, y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return colours interpolated between pixels; outside, those of the nearest pixel."""
    last = len(picture) - 1
    y, x = np.clip(y, 0, last), np.clip(x, 0, last)
    top, left = y.astype(np.int64), x.astype(np.int64)
    bottom, right = np.minimum(top + 1, last), np.minimum(left + 1, last)
    dy, dx = (y - top)[..., None], (x - left)[..., None]
    upper = picture[top, left] * (1 - dx) + picture[top, right] * dx
    lower = picture[bottom, left] * (1 - dx) + picture[bottom, right] * dx
    colours: np.ndarray = upper * (1 - dy) + lower * dy
    return colours
