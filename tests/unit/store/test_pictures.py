"""A run's pictures are small, never in the way, and read with suspicion."""

from pathlib import Path

import msgspec
import pytest

from perfsuite.domain.pictures import Box, Picture, Pictures, Said
from perfsuite.store import pictures as stored
from perfsuite.store.pictures import image_of, name_of_image, read_pictures, write_pictures

FP32, INT8 = "0" * 16, "1" * 16
PNG = b"\x89PNG\r\n\x1a\n and so on"
JPEG = b"\xff\xd8\xff and so on"
BOXES = Said(boxes=(Box(0.1, 0.2, 0.3, 0.4, "cat", 0.9),))


def picture(content: bytes = PNG, sample: int = 3, answer: Said | None = None) -> Picture:
    name = name_of_image(content, "png" if content.startswith(b"\x89") else "jpg")
    return Picture(sample, name, 8, 8, Said("cat"), answer or Said("dog"))


def write(run: Path, cell: str, *shown: tuple[Picture, bytes], against: str = "") -> Pictures:
    found = Pictures(1, cell, against=against, samples=20, pictures=tuple(p for p, _ in shown))
    return write_pictures(run, found, {one.file: content for one, content in shown})


def test_what_was_written_is_read(tmp_path: Path) -> None:
    written = write(tmp_path, INT8, (picture(), PNG), (picture(JPEG, 5), JPEG))
    assert read_pictures(tmp_path, INT8) == written
    assert [image_of(tmp_path, one) for one in written.pictures] == [PNG, JPEG]


def test_what_was_answered_before_comes_from_the_cell_that_it_is_compared_with(
    tmp_path: Path,
) -> None:
    write(tmp_path, FP32, (picture(answer=BOXES), PNG))
    write(tmp_path, INT8, (picture(), PNG), (picture(JPEG, 5), JPEG), against=FP32)
    first, second = read_pictures(tmp_path, INT8).pictures
    assert first.before == BOXES and second.before is None
    assert len(list((tmp_path / "pictures").iterdir())) == 4  # two descriptions, two images


def test_what_is_missing_or_damaged_is_told(tmp_path: Path) -> None:
    assert read_pictures(tmp_path, INT8).note == "none: the run has no pictures of this cell"
    written = write(tmp_path, INT8, (picture(), PNG), (picture(JPEG, 5), JPEG))
    (tmp_path / "pictures" / written.pictures[0].file).unlink()
    found = read_pictures(tmp_path, INT8)
    assert found.pictures == written.pictures[1:]
    assert found.note == "1 without a readable image"
    file = tmp_path / "pictures" / f"{INT8}.json"
    file.write_bytes(file.read_bytes()[:-9])
    assert read_pictures(tmp_path, INT8).note == "none: their description is damaged"
    file.write_bytes(msgspec.json.encode(Pictures(schema=2, cell=INT8)))
    assert "newer" in read_pictures(tmp_path, INT8).note


@pytest.mark.parametrize("name", ["../run.jsonl", "/etc/passwd", "x.svg", "a/b.png", "0" * 16, ""])
def test_no_file_outside_the_folder_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "pictures").mkdir()
    found = Pictures(1, INT8, pictures=(Picture(0, name, 1, 1, Said("a"), Said("b")),))
    (tmp_path / "pictures" / f"{INT8}.json").write_bytes(msgspec.json.encode(found))
    assert read_pictures(tmp_path, INT8).note == "1 without a readable image"
    assert "no such id" in read_pictures(tmp_path, "../" + INT8).note


def test_a_link_and_a_file_that_is_no_image_are_not_read(tmp_path: Path) -> None:
    write(tmp_path, INT8, (picture(), PNG))
    image = tmp_path / "pictures" / picture().file
    image.write_bytes(b"<script>")
    assert image_of(tmp_path, picture()) is None
    outside = tmp_path / "outside"
    outside.write_bytes(PNG)
    image.unlink()
    image.symlink_to(outside)
    assert image_of(tmp_path, picture()) is None


def test_a_runs_pictures_have_a_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stored, "MOST_BYTES", 1_500)
    many = [(picture(PNG + bytes([i]) * 300, i), PNG + bytes([i]) * 300) for i in range(9)]
    kept = write(tmp_path, FP32, *many)
    assert 0 < len(kept.pictures) < 9
    assert kept.note == f"{9 - len(kept.pictures)} left out: a run's pictures take 0 MB at most"
    assert not write(tmp_path, INT8, *many[::-1]).pictures  # nothing is left for the next
    size = sum(one.stat().st_size for one in (tmp_path / "pictures").iterdir())
    assert size <= 1_500 + 300  # a cell without any says so
    assert read_pictures(tmp_path, INT8).note.startswith("9 left out")
