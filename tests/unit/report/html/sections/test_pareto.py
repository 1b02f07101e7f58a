"""Accuracy against speed: the area that budgets allow, and where points lead."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from page_reading import figures, read_page, section
from reported_run import run

from perfsuite.domain.record import Run
from perfsuite.judge import judge
from perfsuite.report import render
from perfsuite.report.html.page import Page
from perfsuite.report.html.sections import pareto as making
from perfsuite.report.html.sections.pareto import allowed


def test_the_area_is_what_the_budgets_of_the_workload_allow() -> None:
    found = run()
    page = Page(found, judge(found))
    area = allowed(page, page.groups["vgg16-cifar10"])
    assert (area.speedup, area.points) == (5.0, 1.0)
    assert allowed(page, page.groups["[red]net|x"]) == (None, None)


def test_a_point_lies_where_the_row_says_and_leads_to_its_cell() -> None:
    found = run()
    page = Page(found, judge(found))
    row = page.rows[1]
    shown = read_page(render(found, page.judgement, "html"))
    (figure,) = figures(section(shown, "pareto"))
    points = next(one for one in figure["data"] if one["name"] == "openvino")
    assert row.speedup is not None
    assert row.loss_points is not None
    assert (points["x"], points["y"]) == ([row.speedup.value], [row.loss_points.value])
    assert points["meta"]["links"] == [f"cell-{row.cell.id}"]
    assert points["marker"]["symbol"] == ["circle-open"], "it breaks a limit"


def test_without_accuracy_speed_ups_are_shown_alone() -> None:
    found = run()
    records = {
        name: msgspec.structs.replace(one, accuracies=()) for name, one in found.records.items()
    }
    found = msgspec.structs.replace(found, records=records)
    shown = section(read_page(render(found, judge(found), "html")), "pareto")
    assert "without a comparison of accuracy" in shown.text


def test_of_many_points_those_of_the_front_bear_names(monkeypatch: pytest.MonkeyPatch) -> None:
    found = run()
    names = [one["text"] for one in drawn(found) if one["name"] == "openvino"]
    assert names == [["int8"]]
    monkeypatch.setattr(making, "_NAMED", 0)
    monkeypatch.setattr(making, "pareto_front", lambda group: [])
    names = [one["text"] for one in drawn(found) if one["name"] == "openvino"]
    assert names == [[""]]


def drawn(found: Run) -> list[dict[str, Any]]:
    (figure,) = figures(section(read_page(render(found, judge(found), "html")), "pareto"))
    return list(figure["data"])
