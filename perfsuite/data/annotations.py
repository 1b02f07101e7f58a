"""Pictures with boxes from any file format, and a report of the broken ones.

A broken picture or box is skipped, counted and named; all others are kept.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from perfsuite.data.images import rgb
from perfsuite.errors import ConfigError

SLACK = 1.0  # pixels; by rounding, a box may exceed its picture by this without being reported


class Mark(NamedTuple):
    """One box as its file has it: a class name and the corners in pixels, from 0.

    A detector need not find `ignored` boxes (VOC's `difficult`, COCO's `iscrowd`), and finding one
    is no error.
    """

    name: str
    left: float
    top: float
    right: float
    bottom: float
    ignored: bool = False


class Skip(NamedTuple):
    """A picture or box that was left out or cut: the reason and the place."""

    reason: str
    where: str


@dataclass(frozen=True)
class Annotated:
    """A picture's file and its boxes: float32 (n, 4) left, top, right, bottom in its pixels.

    `labels` are int64 (n,) from 1, in the order of the classes; 0 means background to detectors.
    `turned` says that boxes are those of the picture as its EXIF data turn it, not as it is stored.
    """

    path: Path
    width: int
    height: int
    boxes: np.ndarray
    labels: np.ndarray
    ignored: np.ndarray  # bool (n,)
    turned: bool = False

    def pixels(self) -> np.ndarray:
        """Return the picture as uint8 (height, width, 3) RGB."""
        return decoded(self.path, turned=self.turned)


@dataclass(frozen=True)
class Annotations:
    """A list of pictures with boxes, and a report of what was skipped.

    `ids` are the numbers that the data set itself gives the classes; without them it counts from 1.
    """

    classes: tuple[str, ...]
    pictures: tuple[Annotated, ...]
    skips: tuple[Skip, ...] = ()
    ids: tuple[int, ...] = ()

    def counts(self) -> dict[str, int]:
        """Return the number of skips for each reason."""
        return dict(Counter(skip.reason for skip in self.skips))

    def report(self) -> str:
        """Return a line for each reason, with the number and the first place; '' without skips."""
        lines = []
        for reason, count in self.counts().items():
            first = next(skip.where for skip in self.skips if skip.reason == reason)
            lines.append(f"{count} x {reason} (first: {first})")
        return "\n".join(lines)

    def fingerprint(self) -> str:
        """Return a text that changes when a picture's bytes, a box or a class does."""
        digest = hashlib.sha256(repr(self.classes).encode())
        for picture in self.pictures:
            digest.update(picture.path.read_bytes())
            for array in (picture.boxes, picture.labels, picture.ignored):
                digest.update(array.tobytes())
            if picture.turned:
                digest.update(b"turned")
        return digest.hexdigest()


def decoded(path: Path, *, turned: bool = False) -> np.ndarray:
    """Return the picture in `path` as uint8 (height, width, 3) RGB, `turned` as its EXIF data say.

    Raises `ConfigError` for a file that is missing, is no picture or is cut short.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return rgb(ImageOps.exif_transpose(picture) if turned else picture)
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such picture") from error
    except (
        UnidentifiedImageError,
        OSError,
        SyntaxError,
        ValueError,
        Image.DecompressionBombError,
    ) as error:
        raise ConfigError(f"{path}: not a picture, or cut short ({error})") from error


def _is_there(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


@dataclass
class Collector:
    """Checks pictures and boxes one by one, and keeps the valid ones."""

    classes: tuple[str, ...]
    pictures: list[Annotated] = field(default_factory=list)
    skips: list[Skip] = field(default_factory=list)

    def skip(self, reason: str, where: str) -> None:
        """Count something that cannot be used, with the place `where` it stands."""
        self.skips.append(Skip(reason, where))

    def add(
        self, path: Path, marks: Iterable[Mark], where: str, size: tuple[int, int] = (0, 0)
    ) -> None:
        """Keep a picture with its valid boxes; `where` names its entry in the file.

        `size`, the width and height that the entry states, tells in which pixels boxes are given:
        a picture that has it as its EXIF data turn it is turned, one that has another is skipped,
        as its boxes are those of other pixels. With a 0 in it, it is not known.
        """
        if not _is_there(path):
            self.skip("picture is missing", f"{where}: {path}")
            return
        turned = False
        try:
            height, width = decoded(path).shape[:2]
            if all(size) and size != (width, height):
                turned = True
                height, width = decoded(path, turned=True).shape[:2]
        except ConfigError:
            self.skip("picture cannot be read or is cut short", f"{where}: {path}")
            return
        if turned and size != (width, height):
            stated = f"{path} is {width} x {height} pixels, and {size[0]} x {size[1]} are stated"
            self.skip("picture of another size than its annotations", f"{where}: {stated}")
            return
        kept = [
            found
            for mark in marks
            if (found := self._whole(mark, width, height, where)) is not None
        ]
        boxes = np.array([mark[1:5] for mark in kept], np.float32).reshape(-1, 4)
        labels = np.array([self.classes.index(mark.name) + 1 for mark in kept], np.int64)
        ignored = np.array([mark.ignored for mark in kept], bool)
        self.pictures.append(Annotated(path, width, height, boxes, labels, ignored, turned))

    def finish(self, source: str) -> Annotations:
        """Return what was kept; raise `ConfigError` if no picture with a box is left."""
        found = Annotations(self.classes, tuple(self.pictures), tuple(self.skips))
        if not any(len(picture.boxes) for picture in self.pictures):
            why = found.report().replace("\n", "; ") or "no entry has a box"
            raise ConfigError(f"{source}: no picture with a box is left: {why}")
        return found

    def _whole(self, mark: Mark, width: int, height: int, where: str) -> Mark | None:
        """Return the box, clipped to the picture; None, counted as a skip, if it is invalid."""
        corners = np.array(mark[1:5], np.float64)
        named = f"{where}: {mark.name} {tuple(float(side) for side in corners)}"
        if mark.name not in self.classes:
            self.skip(f"unknown class (known: {', '.join(self.classes)})", named)
            return None
        if not np.isfinite(corners).all():
            self.skip("box is not made of numbers", named)
            return None
        if mark.right <= mark.left or mark.bottom <= mark.top:
            self.skip("box without extent", named)
            return None
        cut = np.clip(corners, 0, (width, height, width, height))
        if cut[2] <= cut[0] or cut[3] <= cut[1]:
            self.skip("box outside the picture", named)
            return None
        if np.abs(cut - corners).max() > SLACK:
            self.skip("box reaches beyond the picture: cut to it", named)
        return mark._replace(
            left=float(cut[0]), top=float(cut[1]), right=float(cut[2]), bottom=float(cut[3])
        )
