"""Boxes in COCO's JSON format (Lin et al. 2014, arXiv:1405.0312): one file for all pictures."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec

from perfsuite.data.annotations import Annotations, Collector, Mark
from perfsuite.errors import ConfigError


class _Category(msgspec.Struct):
    id: int
    name: str


class _Image(msgspec.Struct):
    id: int
    file_name: str
    width: Any = 0  # not needed, and so no reason to leave a picture out
    height: Any = 0


class _Box(msgspec.Struct):
    image_id: int
    category_id: int
    bbox: tuple[float, float, float, float]  # left, top, width, height
    iscrowd: int = 0


class _File(msgspec.Struct):
    images: list[Any]
    annotations: list[Any]
    categories: list[_Category]


def load_coco(path: Path, pictures: Path, classes: tuple[str, ...] = ()) -> Annotations:
    """Return the pictures that the JSON file `path` lists; their files lie in `pictures`.

    Without `classes`, they are the file's categories in the order of their ids, those of one name
    told apart by them; label 1 is the first. Broken pictures and boxes are skipped and counted.
    Raises `ConfigError` for a file that is missing or not in this format, and if nothing is left.
    """
    content = _read(path)
    names = _names(content.categories)
    collector = Collector(classes or tuple(names.values()))
    images: dict[int, _Image] = {}
    for index, entry in enumerate(content.images):
        try:
            image = msgspec.convert(entry, _Image)
        except msgspec.ValidationError as error:
            collector.skip(f"malformed image ({error})", f"{path.name}: images[{index}]")
            continue
        if image.id in images:  # it is not known to which of the two its boxes belong
            collector.skip("second picture of one id", f"{path.name}: images[{index}]")
            continue
        images[image.id] = image
    marks: dict[int, list[Mark]] = {number: [] for number in images}
    for index, entry in enumerate(content.annotations):
        where = f"{path.name}: annotations[{index}]"
        try:
            box = msgspec.convert(entry, _Box)
        except msgspec.ValidationError as error:
            collector.skip(f"malformed annotation ({error})", where)
            continue
        if box.image_id not in marks:
            collector.skip("annotation of a picture that is not listed", where)
            continue
        marks[box.image_id].append(_mark(box, names))
    for number, image in images.items():
        where = f"{path.name}: image {number}"
        sides = (image.width, image.height)
        size = sides if all(isinstance(side, int) for side in sides) else (0, 0)
        collector.add(pictures / image.file_name, marks[number], where, size)
    numbers = {name: number for number, name in names.items()}
    ids = tuple(numbers.get(name, 0) for name in collector.classes)
    return replace(collector.finish(str(path)), ids=ids)


def _names(categories: list[_Category]) -> dict[int, str]:
    """Return the name of each category by its id, in the order of these."""
    uses = Counter(entry.name for entry in categories)
    return {
        entry.id: entry.name if uses[entry.name] == 1 else f"{entry.name} ({entry.id})"
        for entry in sorted(categories, key=lambda entry: entry.id)
    }


def _mark(box: _Box, names: dict[int, str]) -> Mark:
    left, top, width, height = box.bbox
    name = names.get(box.category_id, f"category {box.category_id}")
    return Mark(name, left, top, left + width, top + height, box.iscrowd == 1)


def _read(path: Path) -> _File:
    try:
        return msgspec.json.decode(path.read_bytes(), type=_File)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{path}: not a COCO file: {error}; it needs images, annotations and categories"
        ) from error
