"""The pictures of a run on its page: shown beside each other, and whatever is said is text."""

from __future__ import annotations

from pathlib import Path

from page_reading import read_page, section
from stored_run import store_run

from perfsuite import api
from perfsuite.domain.cell import Cell
from perfsuite.domain.pictures import Box, Look, Picture, Pictures, Said
from perfsuite.report.html.sections.pictures import _shades
from perfsuite.store.pictures import name_of_image, write_pictures
from perfsuite.store.runs import load_run

PNG = b"\x89PNG\r\n\x1a\n and so on"
ATTACK = "</style><script>alert(1)</script>\"'"


def write(run: Path, cell: Cell, *shown: Picture, **about: object) -> None:
    found = Pictures(1, cell.id, cell.key, samples=20, pictures=shown, **about)  # type: ignore[arg-type]
    write_pictures(run, found, {one.file: PNG for one in shown})


def sample(truth: Said, answer: Said, number: int = 3) -> Picture:
    return Picture(number, name_of_image(PNG, "png"), 40, 20, truth, answer)


def stored(folder: Path) -> list[Cell]:
    store_run(folder)
    run = load_run(folder)
    return [cell for cell in run.header.cells if run.records[cell.id].accuracies]


def test_what_is_newly_wrong_is_told_in_words(tmp_path: Path) -> None:
    _, cell = stored(tmp_path)[:2]
    shown = sample(Said("cat"), Said(ATTACK))
    write(tmp_path, cell, shown, chosen="newly wrong", newly_wrong=7, newly_right=2)
    page = read_page(api.report(tmp_path, "html"))
    found = section(page, "pictures")
    assert f"{cell.key}: 7 of 20 newly wrong, 1 shown; 2 newly right" in found.text
    assert f"true: cat; {cell.recipe}: {ATTACK}" in found.text
    assert found.all("div", role="img")[0].attributes["aria-label"].startswith("sample 3, true")
    assert not found.all("script")
    style = found.all("style")[0].text
    assert style.startswith(f".shot.p{shown.file[:16]} {{ background-image: url(data:image/png;")


def test_boxes_are_drawn_beside_those_before(tmp_path: Path) -> None:
    before, cell = stored(tmp_path)[:2]
    one, other = (Said(boxes=(Box(0, 0.5, share, 1, ATTACK, 0.9),)) for share in (0.5, 0.25))
    write(tmp_path, before, sample(Said(), one))
    write(tmp_path, cell, sample(Said(), other), against=before.id)
    found = section(read_page(api.report(tmp_path, "html")), "pictures")
    captions = [one.text for one in found.all("figcaption")]
    told = f"1 {ATTACK}"
    assert captions[-3:] == ["true: no box", f"before: {told}", f"{cell.recipe}: {told}"]
    boxes = found.all("rect")
    assert [box.attributes["width"] for box in boxes] == ["500.0", "500.0", "250.0"]
    assert len(found.all("style")[1].text) == 0  # the image stands on the page once


def test_attention_is_light_where_a_word_was_looked_for(tmp_path: Path) -> None:
    cell = stored(tmp_path)[0]
    looks = (Look("dog", (255, 0, 51, 0), 2),)
    write(tmp_path, cell, sample(Said("a dog"), Said("dog", looks=looks)))
    found = section(read_page(api.report(tmp_path, "html")), "pictures")
    paths = {one.attributes["fill-opacity"]: one.attributes["d"] for one in found.all("path")}
    assert paths == {"0.6": "M0 1h1v1h-1z", "0.75": "M1 0h1v1h-1zM1 1h1v1h-1z"}
    assert found.all("svg")[0].attributes["viewbox"] == "0 0 2 2"


def test_equal_shades_of_a_row_are_one_piece() -> None:
    assert _shades(Look("a", (0, 0, 0, 255, 0, 0), 3)) == [(0.75, "M0 0h3v1h-3zM1 1h2v1h-2z")]
    assert _shades(Look("a", (), 3)) == []


def test_a_run_without_pictures_says_so(tmp_path: Path) -> None:
    cells = stored(tmp_path)
    found = section(read_page(api.report(tmp_path, "html")), "pictures")
    assert f"{len(cells)} cells: none: the run has no pictures of this cell" in found.text
