"""The pictures of a run, in its folder `pictures`: a description for each cell, and small images.

Images are named by their content, so that cells share those of the same sample. Nothing that a run
needs depends on these files: where one is missing or damaged, the description says so.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import msgspec

from perfsuite.domain.pictures import Picture, Pictures
from perfsuite.store.disk import write_whole

FOLDER = "pictures"
SCHEMA = 1
MOST_BYTES = 1_000_000  # of all files of a run
_MOST_READ = 4_000_000  # of one file: a larger one was not written here
_ID = re.compile(r"[0-9a-f]{16}")
_NAME = re.compile(r"[0-9a-f]{16}\.(png|jpg)")
_BEGINS = {"png": b"\x89PNG\r\n\x1a\n", "jpg": b"\xff\xd8\xff"}


def name_of_image(content: bytes, suffix: Literal["png", "jpg"]) -> str:
    """Return the name of an image: another one for each content."""
    return f"{hashlib.sha256(content).hexdigest()[:16]}.{suffix}"


def write_pictures(run: Path, found: Pictures, images: Mapping[str, bytes]) -> Pictures:
    """Write a cell's pictures into a run's folder, and return what was written.

    `images` are their files, by name. What would make all pictures of the run larger than
    `MOST_BYTES` is left out, and the note says so. Raises `OSError` where nothing can be written.
    """
    folder = run / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{found.cell}.json"
    left = MOST_BYTES - sum(one.stat().st_size for one in folder.iterdir() if one != file)
    kept: list[Picture] = []
    left -= len(msgspec.json.encode(msgspec.structs.replace(found, pictures=(), note="x" * 200)))
    for picture in found.pictures:
        there = (folder / picture.file).exists()
        left -= len(msgspec.json.encode(picture)) + 1
        left -= 0 if there else len(images[picture.file])
        if left < 0:
            break
        if not there:
            write_whole(folder / picture.file, images[picture.file])
        kept.append(picture)
    dropped = len(found.pictures) - len(kept)
    note = found.note
    if dropped:
        note = f"{dropped} left out: a run's pictures take {MOST_BYTES // 1_000_000} MB at most"
    found = msgspec.structs.replace(found, schema=SCHEMA, pictures=tuple(kept), note=note)
    write_whole(file, msgspec.json.encode(found))
    return found


def read_pictures(run: Path, cell: str) -> Pictures:
    """Return the pictures of the cell with this id, each with what was answered `before`, if known.

    It raises nothing: where there are none, or not all, `note` says why.
    """
    found = _described(run, cell)
    whole = tuple(one for one in found.pictures if image_of(run, one) is not None)
    lost = len(found.pictures) - len(whole)
    told = [found.note, f"{lost} without a readable image" if lost else ""]
    other = _described(run, found.against) if found.against not in ("", cell) else Pictures()
    same = other.samples == found.samples  # else their rows are of other samples
    before = {one.sample: one.answer for one in other.pictures if same}
    whole = tuple(
        one
        if one.before is not None
        else msgspec.structs.replace(one, before=before.get(one.sample))
        for one in whole
    )
    return msgspec.structs.replace(found, pictures=whole, note="; ".join(filter(None, told)))


def image_of(run: Path, picture: Picture) -> bytes | None:
    """Return the PNG or JPEG file of a picture; None if it is missing, or is no such file."""
    if not _NAME.fullmatch(picture.file):  # nothing outside the folder is read
        return None
    content = _content(run / FOLDER / picture.file)
    begins = _BEGINS[picture.file.rpartition(".")[2]]
    return content if content is not None and content.startswith(begins) else None


def _described(run: Path, cell: str) -> Pictures:
    if not _ID.fullmatch(cell):
        return Pictures(note="none: the cell's id is no such id")
    content = _content(run / FOLDER / f"{cell}.json")
    if content is None:
        return Pictures(cell=cell, note="none: the run has no pictures of this cell")
    try:
        found = msgspec.json.decode(content, type=Pictures)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Pictures(cell=cell, note="none: their description is damaged")
    if found.schema > SCHEMA or found.cell != cell:
        return Pictures(cell=cell, note="none: they were described by a newer perfsuite")
    return found


def _content(file: Path) -> bytes | None:
    """Return what a plain file holds; None for what is missing, a link, or far too large."""
    try:
        if file.is_symlink() or not file.is_file() or file.stat().st_size > _MOST_READ:
            return None
        return file.read_bytes()
    except OSError:
        return None
