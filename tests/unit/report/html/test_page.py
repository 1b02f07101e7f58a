"""The page of a run: one whole, well-formed document, in which whatever was given is text."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from page_reading import Element, lazy_lines, lines, numbers, read_page, section, unpacked
from reported_run import run

from perfsuite.domain.record import Run
from perfsuite.judge import judge
from perfsuite.report import render
from perfsuite.report.html import page as making
from perfsuite.report.tables.cell_rows import SEVERITY

ATTACK = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'`{{7*7}}&lt;"


def page_of(found: Run) -> Element:
    return read_page(render(found, judge(found), "html"))


@pytest.fixture(scope="module")
def page() -> Element:
    return page_of(run())


def test_nothing_is_fetched(page: Element) -> None:
    sources = [one for name in ("script", "img", "link", "iframe") for one in page.all(name)]
    addresses = [one.attributes.get("src") or one.attributes.get("href", "") for one in sources]
    assert all(one in ("", "data:,") for one in addresses)


def test_headings_are_in_order(page: Element) -> None:
    def levels(element: Element) -> list[int]:
        found: list[int] = []
        for one in element.children:
            if isinstance(one, Element):
                found += [int(one.name[1])] if one.name in ("h1", "h2", "h3", "h4") else levels(one)
        return found

    found = levels(page)
    assert found[0] == 1
    assert found.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(found))


def test_every_table_has_a_caption_and_heads(page: Element) -> None:
    for table in page.all("table"):
        columns = [one for one in table.all("th") if one.attributes.get("scope") == "col"]
        assert table.all("caption")[0].text
        assert columns
        for row in table.all("tbody")[0].all("tr"):
            assert len(row.all("th", scope="row")) == 1
            assert len(row.all("th") + row.all("td")) == len(columns)


def test_links_lead_to_places_on_the_page(page: Element) -> None:
    ids = places(page)
    assert len(ids) == len(set(ids))
    links = {one.attributes["href"].removeprefix("#") for one in page.all("a")}
    assert links <= set(ids)


def places(element: Element) -> list[str]:
    below = [one for one in element.children if isinstance(one, Element)]
    own = [element.attributes["id"]] if "id" in element.attributes else []
    return own + [place for one in below for place in places(one)]


def test_all_cells_are_there_with_how_they_ended(page: Element) -> None:
    table = section(page, "cells").all("table")[0]
    assert [(row[0], row[1], row[2]) for row in lines(table)] == [
        ("vgg16-cifar10/fp32/pytorch/cpu/b1", "", "12.3 ms ±2.2 %"),
        ("vgg16-cifar10/int8/openvino/cpu/b1", "✗ over budget", "1.1 ms ±2.5 %"),
        ("vgg16-cifar10/int8/onnxruntime/cpu/b1", "✗ failed", "failed"),
        ("vgg16-cifar10/int8/pytorch/cpu/b1", "- unsupported", "unsupported"),
        ("[red]net|x/fp32/fake/cpu/b1", "? incomplete", "incomplete"),
    ]


def test_numbers_are_those_of_the_json(page: Element) -> None:
    found = run()
    known = set(_numbers(msgspec.json.decode(render(found, judge(found), "json"))))
    shown = [one for name in ("answer", "pareto", "cells") for one in numbers(section(page, name))]
    assert len(shown) > 20
    assert set(shown) <= known


def _numbers(value: object) -> list[float]:
    if isinstance(value, dict):
        return [one for item in value.values() for one in _numbers(item)]
    if isinstance(value, list):
        return [one for item in value for one in _numbers(item)]
    return [float(value)] if isinstance(value, int | float) else []


def test_names_are_text_whatever_they_hold() -> None:
    """A name that would end a script, or be an element, in every place where a user can write."""
    names = ("vgg16-cifar10", "[red]net|x", "int8", "VGG may lose one point", "demo", "unsteady")
    text, attack = msgspec.json.encode(run()).decode(), msgspec.json.encode(ATTACK).decode()
    for name in names:
        text = text.replace(msgspec.json.encode(name).decode(), attack)
    found = msgspec.json.decode(text, type=Run)
    records = {one.cell.id: one for one in found.records.values()}  # by their new names
    found = msgspec.structs.replace(found, records=records)
    shown = page_of(found)
    assert ATTACK in shown.all("h1")[0].text
    assert not shown.all("img")
    programs = [one for one in shown.all("script") if "type" not in one.attributes]
    assert len(programs) == 2  # the plotting library, and what makes tables sort


def test_a_run_without_cells_says_so() -> None:
    found = run()
    header = msgspec.structs.replace(found.header, cells=())
    empty = page_of(Run(header, {}, found.warnings))
    assert "The run has no cells." in section(empty, "cells").text
    assert "the last line was torn" in section(empty, "answer").text


def test_the_shapes_that_were_timed_stand_beside_each_cell() -> None:
    found = run()
    records = {
        name: msgspec.structs.replace(one, input_shapes={"x": ((1, 3, 8, 8),)}, made_up=True)
        for name, one in found.records.items()
    }
    cells = section(page_of(msgspec.structs.replace(found, records=records)), "cells")
    table = cells.all("table")[0]
    heads = [one.text for one in table.all("th", scope="col")]
    assert {line[heads.index("inputs")] for line in lines(table)} == {"x 1x3x8x8 (made up)"}


def test_notes_stand_once_for_all_cells_that_share_them() -> None:
    found = run()
    records = {
        name: msgspec.structs.replace(one, labels=("a picture was skipped",))
        for name, one in found.records.items()
    }
    notes = section(page_of(msgspec.structs.replace(found, records=records)), "cells")
    table = notes.all("table")[1]
    told = {note: cells for cells, note in lines(table)}
    assert told["a picture was skipped"] == "all cells"
    assert told["Q/DQ graphs run on ONNX engines"] == "vgg16-cifar10/int8/pytorch/cpu/b1"
    first = lines(table)[0]
    assert first[0] == "vgg16-cifar10/int8/onnxruntime/cpu/b1", "errors come first"


def test_columns_of_long_texts_may_break_and_short_ones_may_not(page: Element) -> None:
    (row,) = [
        one
        for one in section(page, "cells").all("table")[0].all("tr")
        if one.all("th", scope="row") and "onnxruntime" in one.text
    ]
    classes = [one.attributes.get("class", "") for one in row.all("th") + row.all("td")]
    assert classes[:3] == ["wide", "bad", "number"]


def test_a_large_page_keeps_the_data_of_what_is_folded_and_says_so_without_scripts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert not page_of(run()).all("script", **{"class": "lines"})
    monkeypatch.setattr(making, "_WHOLE", 0)
    large = page_of(run())
    lazy = [one for one in large.all("div") if "data-lazy" in one.attributes]
    assert lazy
    for box in lazy:
        assert lines(box.all("table")[0]) == []
        (island,) = box.all("script", **{"class": "lines"})
        count = len(unpacked(island))
        assert f"The {count} rows of this table need JavaScript" in box.all("noscript")[0].text
    assert lazy_lines(large)


def test_verdicts_stand_the_worst_first_and_columns_without_anything_are_left_out(
    page: Element,
) -> None:
    (table,) = section(page, "answer").all("table")
    statuses = [line[0].split(" ", 1)[1] for line in lines(table)]
    assert statuses == sorted(statuses, key=lambda one: SEVERITY.index(one.replace(" ", "_")))
    assert len(set(statuses)) > 2
    found = run()
    records = {
        name: msgspec.structs.replace(one, accuracies=()) for name, one in found.records.items()
    }
    bare = page_of(msgspec.structs.replace(found, records=records))
    heads = [one.text for one in section(bare, "cells").all("table")[0].all("th", scope="col")]
    assert heads == ["cell", "verdict", "latency", "speed-up", "memory", "size"]
