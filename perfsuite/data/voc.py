"""Boxes in the layout of Pascal VOC (Everingham et al. 2010): one XML file a picture."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from perfsuite.data.annotations import Annotations, Collector, Mark
from perfsuite.errors import ConfigError
from perfsuite.plugins import suggestion

SIDES = ("xmin", "ymin", "xmax", "ymax")


def load_voc(folder: Path, split: str, classes: tuple[str, ...]) -> Annotations:
    """Return the pictures that `ImageSets/Main/<split>.txt` lists, with their boxes.

    Pictures are in `JPEGImages`, boxes in `Annotations`. The format counts pixels from 1 and
    includes both ends of a box; the returned boxes go from the left edge of the first pixel to the
    right edge of the last. Broken pictures and boxes are skipped and counted. Raises `ConfigError`
    for a missing list and if nothing is left.
    """
    entries = _listed(folder, split)
    collector = Collector(classes)
    for entry in entries:
        path = folder / "Annotations" / f"{entry}.xml"
        try:
            root = ElementTree.parse(path).getroot()
        except FileNotFoundError:
            collector.skip("annotation is missing", path.name)
            continue
        except (ElementTree.ParseError, OSError, ValueError, LookupError):  # of encodings, too
            collector.skip("annotation is not valid XML", path.name)
            continue
        size = (_side(root, "width"), _side(root, "height"))
        collector.add(_picture(folder, entry, root), _marks(root), path.name, size)
    return collector.finish(f"{folder} ({split})")


def voc_classes(folder: Path, split: str) -> tuple[str, ...]:
    """Return the names that the annotations of a split give to boxes, in alphabetical order.

    That is the order of Pascal VOC's own twenty classes. Annotations that cannot be read are left
    out here, and counted when they are loaded.
    """
    names: set[str] = set()
    for entry in _listed(folder, split):
        try:
            root = ElementTree.parse(folder / "Annotations" / f"{entry}.xml").getroot()
        except (ElementTree.ParseError, OSError, ValueError, LookupError):
            continue
        names.update(item.findtext("name", "").strip() for item in root.findall("object"))
    return tuple(sorted(names - {""}))


def _listed(folder: Path, split: str) -> list[str]:
    lists = folder / "ImageSets" / "Main"
    path = lists / f"{split}.txt"
    if not path.is_file():
        known = [found.stem for found in lists.glob("*.txt")]
        raise ConfigError(f"{folder}: has no list {path.name}{suggestion(split, known)}")
    # A list of one class's pictures has a second column.
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: not a list in UTF-8: {error}") from error
    return [line.split()[0] for line in lines if line.strip()]


def _picture(folder: Path, entry: str, root: ElementTree.Element) -> Path:
    """Return the picture of an entry: by its name, or by the name that the annotation states."""
    usual = folder / "JPEGImages" / f"{entry}.jpg"
    stated = Path(root.findtext("filename", "")).name
    return usual if usual.is_file() or not stated else usual.with_name(stated)


def _side(root: ElementTree.Element, name: str) -> int:
    """Return a side of the picture as the annotation states it; 0 if it does not."""
    number = _number(root.findtext(f"size/{name}"))
    return int(number) if math.isfinite(number) else 0


def _marks(root: ElementTree.Element) -> Iterator[Mark]:
    for item in root.findall("object"):
        left, top, right, bottom = (_number(item.findtext(f"bndbox/{side}")) for side in SIDES)
        if right > left and bottom > top:
            left, top = left - 1, top - 1
        name = item.findtext("name", "").strip()
        difficult = item.findtext("difficult", "0").strip() == "1"
        yield Mark(name, left, top, right, bottom, difficult)


def _number(text: str | None) -> float:
    """Return the number, or NaN if there is none; the collector skips boxes with NaN."""
    try:
        return float(text) if text else math.nan
    except ValueError:
        return math.nan
