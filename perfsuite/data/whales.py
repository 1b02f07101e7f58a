"""Generated aerial pictures of 427 whales, which differ by the callosities on their heads.

They imitate the identification of right whales, of which aerial surveys have few pictures of most
individuals and many of some. A picture depends only on the seed, the split and its index: a sea
with waves and foam, and one whale of any heading, with the light patches of the individual on its
head. The positions of the head and its two ends are known exactly.
"""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import numpy as np

from perfsuite.data.noise import colour, direction, smooth_noise, uniform
from perfsuite.data.samples import SEEDS, WITH_VALIDATION, check_split

SIDE = 128  # pixels
INDIVIDUALS = 427
MOST = 47  # training pictures of the most frequent individual; the rarest has one
COUNTS = {"calibration": 256, "test": 1000}
VALIDATION = 1000  # pictures
SEED = 20150826
VERSION = 1  # of the pictures, to be raised when they change

# The head in its own frame: 0 is the blowhead, 1 the bonnet (the tip), across from -1 to 1; in
# units of the distance between the two.
_HEAD = (-0.4, 1.3, 0.6)  # from, to, half width
_TEXTURE = (31, 41)  # grid points across and along
_TAIL, _SNOUT = -4.2, 1.35
_PATCHES = 3  # seeds the individuals' patches, as SEEDS do the pictures


class Whales(NamedTuple):
    """uint8 NHWC `images`; int64 `labels`, the individuals; float32 `boxes` and `points`.

    Boxes (N, 4) are x0, y0, x1, y1 of the head; points (N, 2, 2) are x, y of bonnet and blowhead;
    both in pixels, where 0 is the left or upper edge of the picture.
    """

    images: np.ndarray
    labels: np.ndarray
    boxes: np.ndarray
    points: np.ndarray


class Whale(NamedTuple):
    """One picture: uint8 (SIDE, SIDE, 3), the head's float32 box (4,), its two points (2, 2)."""

    image: np.ndarray
    box: np.ndarray
    points: np.ndarray


def load(split: str) -> Whales:
    """Return all pictures of `train`, `calibration`, `test` or `validation`.

    The four have different pictures of the same individuals, all of which are in training.
    """
    labels = labels_of(split)
    images = np.empty((len(labels), SIDE, SIDE, 3), np.uint8)
    boxes, points = (
        np.empty((len(labels), 4), np.float32),
        np.empty((len(labels), 2, 2), np.float32),
    )
    for index, label in enumerate(labels):
        images[index], boxes[index], points[index] = draw(split, index, int(label))
    return Whales(images, labels, boxes, points)


def fingerprint() -> str:
    """Return a text that changes when the pictures of any split do."""
    return f"whales {VERSION} seed={SEED} {COUNTS} most={MOST}"


@cache
def labels_of(split: str) -> np.ndarray:
    """Return the individual of each picture of `split`, int64 (N,), read-only.

    In training the numbers of pictures fall with the cube of the rank, from `MOST` to 1. The labels
    of the other splits are drawn from those of training.
    """
    check_split(split, WITH_VALIDATION)
    rank = np.arange(INDIVIDUALS)
    counts = np.maximum(1, (MOST * (INDIVIDUALS - rank) ** 3) // INDIVIDUALS**3)
    rng = np.random.default_rng((SEED, SEEDS["train"]))
    labels = rng.permutation(np.repeat(rng.permutation(INDIVIDUALS), counts))
    if split != "train":
        rng = np.random.default_rng((SEED, SEEDS[split]))
        count = VALIDATION if split == "validation" else COUNTS[split]
        labels = labels[rng.integers(0, len(labels), count)]
    labels.flags.writeable = False
    return labels


def draw(split: str, index: int, individual: int) -> Whale:
    """Return picture `index` of `split`, which is to show `individual`."""
    rng = np.random.default_rng((SEED, SEEDS[split], index))
    # Rounded: what is stored as the truth is what was drawn.
    cos, sin = (round(part, 6) for part in direction(rng))
    length = uniform(rng, 17, 25)
    reach = 1.45 * length  # the head's farthest corner, from its middle
    middle = uniform(rng, reach, SIDE - reach), uniform(rng, reach, SIDE - reach)
    blowhead = middle[0] - 0.45 * length * cos, middle[1] - 0.45 * length * sin
    frame = _Frame(blowhead, cos, sin, length)
    picture, foam = _sea(rng)
    _add_whale(picture, foam, frame, individual, rng)
    picture += (foam * uniform(rng, 0.6, 1.0))[..., None] * (235 - picture)
    picture *= uniform(rng, 0.75, 1.2)
    picture += 14 * (rng.random((SIDE, SIDE, 1), dtype=np.float32) - np.float32(0.5))
    bonnet = blowhead[0] + length * cos, blowhead[1] + length * sin
    points = np.array((bonnet, blowhead), np.float32)
    return Whale(np.clip(picture, 0, 255).astype(np.uint8), frame.head_box(), points)


class _Frame(NamedTuple):
    """The position of a head: its blowhead in pixels, its heading, and its length in pixels."""

    blowhead: tuple[float, float]
    cos: float
    sin: float
    length: float

    def along_and_across(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the coordinates of pixels in the head's own frame."""
        dx, dy = x - self.blowhead[0], y - self.blowhead[1]
        along = (self.cos * dx + self.sin * dy) / self.length
        across = (self.cos * dy - self.sin * dx) / self.length
        return along, across

    def head_box(self) -> np.ndarray:
        """Return the float32 box x0, y0, x1, y1 of the head's rectangle."""
        start, stop, half = _HEAD
        corners = [(along, across) for along in (start, stop) for across in (-half, half)]
        x = [self.blowhead[0] + self.length * (a * self.cos - b * self.sin) for a, b in corners]
        y = [self.blowhead[1] + self.length * (a * self.sin + b * self.cos) for a, b in corners]
        return np.array((min(x), min(y), max(x), max(y)), np.float32)


def _sea(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return float32 water (SIDE, SIDE, 3), and how much foam covers each pixel, in [0, 1]."""
    swell = smooth_noise(rng, 4, 5, SIDE)
    rows, columns = ((40, 10), (10, 40), (24, 24))[int(rng.integers(3))]
    waves = smooth_noise(rng, rows, columns, SIDE)
    ripple = smooth_noise(rng, 48, 48, SIDE)
    light = (swell - 0.5) * uniform(rng, 10, 50) + (waves - 0.5) * uniform(rng, 15, 70)
    water = colour(rng, (15, 55, 75), (75, 125, 155)) + light[..., None]
    rough = 0.45 * waves + 0.3 * ripple + 0.25 * smooth_noise(rng, 14, 14, SIDE)
    foam = np.clip((rough - uniform(rng, 0.66, 0.8)) * 9, 0, 1)
    return water, foam


def _add_whale(
    picture: np.ndarray,
    foam: np.ndarray,
    frame: _Frame,
    individual: int,
    rng: np.random.Generator,
) -> None:
    """Draw the whale into `picture`; foam covers little of the parts above the water."""
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32) + np.float32(0.5)
    along, across = frame.along_and_across(x, y)
    behind = np.minimum(along, 0)
    bent = across + behind * behind * uniform(rng, -0.06, 0.06)
    body = _body(along, bent, frame.length)
    # The farther from the head, the deeper under water.
    shown = np.clip(uniform(rng, 0.85, 1.0) + behind * uniform(rng, 0.05, 0.2), 0.15, 1) * body
    skin = colour(rng, (25, 30, 35), (60, 65, 70))
    picture += shown[..., None] * (skin - picture)
    roll = uniform(rng, 0.85, 1.0)  # the head of a whale that lies on its side looks narrower
    light = _texture_at(individual, along, across / roll) * body * uniform(rng, 0.75, 0.95)
    picture += light[..., None] * (colour(rng, (175, 170, 155), (235, 230, 215)) - picture)
    foam *= 1 - uniform(rng, 0.7, 1.0) * shown


def _body(along: np.ndarray, across: np.ndarray, length: float) -> np.ndarray:
    """Return how much body and flukes cover of each pixel, in [0, 1]."""
    t = np.clip((along - _TAIL) / (_SNOUT - _TAIL), 0, 1)
    half = 2.2 * t * np.sqrt(1 - t)
    back = along - (_TAIL - 0.1)
    flukes = np.where(np.abs(back) < 0.5, 1.3 * (0.5 - np.abs(back)), -1)
    covered = np.maximum(half - np.abs(across), flukes * 1.6 - np.abs(across) * 0.8)
    inside: np.ndarray = np.clip(covered * length * 0.8, 0, 1)
    return inside


def _texture_at(individual: int, along: np.ndarray, across: np.ndarray) -> np.ndarray:
    """Return the callosities' brightness in [0, 1] at points of the head's frame, 0 outside."""
    start, stop, half = _HEAD
    rows, columns = _TEXTURE
    u = (along - start) * ((columns - 1) / (stop - start))
    v = (across + half) * ((rows - 1) / (2 * half))
    light = np.zeros_like(u)
    inside = (u >= 0) & (u < columns - 1) & (v >= 0) & (v < rows - 1)
    u, v = u[inside], v[inside]
    left, top = u.astype(np.int64), v.astype(np.int64)
    du, dv = u - left, v - top
    texture = _textures()[individual]
    upper = texture[top, left] * (1 - du) + texture[top, left + 1] * du
    lower = texture[top + 1, left] * (1 - du) + texture[top + 1, left + 1] * du
    light[inside] = upper * (1 - dv) + lower * dv
    return light


@cache
def _textures() -> np.ndarray:
    """Return the patches of each individual as float32 (INDIVIDUALS, across, along).

    As right whales do, all have one around the blowhead and one on the bonnet; the sizes of these
    and all other patches differ between individuals.
    """
    start, stop, half = _HEAD
    across, along = np.meshgrid(
        np.linspace(-half, half, _TEXTURE[0]), np.linspace(start, stop, _TEXTURE[1]), indexing="ij"
    )
    textures = np.zeros((INDIVIDUALS, *_TEXTURE), np.float32)
    for individual, texture in enumerate(textures):
        rng = np.random.default_rng((SEED, _PATCHES, individual))
        places = [(1.0, 0.0), (0.0, 0.1), (0.0, -0.1)]
        for _ in range(int(rng.integers(5, 9))):
            places.append((uniform(rng, -0.2, 1.1), uniform(rng, -0.42, 0.42)))
        for u, v in places:
            radius, stretch = uniform(rng, 0.07, 0.16), uniform(rng, 0.6, 1.6)
            far = ((along - u) ** 2 * stretch + (across - v) ** 2 / stretch) / radius**2
            patch = np.clip((1 - far) * 2.5, 0, 1) * uniform(rng, 0.7, 1.0)
            np.maximum(texture, patch, out=texture, casting="same_kind")
    return textures
