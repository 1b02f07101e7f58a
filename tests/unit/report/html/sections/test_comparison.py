"""The page of a run that is held against another one."""

from __future__ import annotations

from pathlib import Path

import msgspec
from page_reading import figures, lines, numbers, read_page, section
from reported_run import run
from stored_run import store_run

from perfsuite import api
from perfsuite.domain.record import Run
from perfsuite.judge import compare, judge
from perfsuite.report import comparison_document, render


def test_each_cell_stands_before_and_now() -> None:
    before, now = run(), run(1.2)
    page = read_page(render(now, judge(now, before), "html", None, before))
    shown = section(page, "comparison")
    (change,) = [one for one in compare(before, now).changes if "openvino" in one.key]
    assert change.latency_ratio is not None
    assert change.latency_ratio.low > 1.0
    row = next(one for one in lines(shown.all("table")[-1]) if one[0] == change.key)
    assert row[1:5] == ["1.1 ms", "1.32 ms", "+20 % (+14.1 % to +26.2 %)", "slower"]
    assert {change.latency_ratio.value, change.latency_ratio.low} <= set(numbers(shown))


def test_without_another_run_there_is_no_such_section(tmp_path: Path) -> None:
    store_run(tmp_path / "run")
    page = read_page(api.report(tmp_path / "run", "html"))
    assert not page.all("section", id="comparison")
    held = read_page(api.report(tmp_path / "run", "html", tmp_path / "run"))
    assert "2 not proven to have changed in speed" in section(held, "comparison").text


def made_at(date: str) -> Run:
    found = run()
    return msgspec.structs.replace(
        found, header=msgspec.structs.replace(found.header, created_at=date)
    )


def test_a_baseline_that_is_the_newer_run_is_told() -> None:
    older, newer = made_at("2026-01-02T03:04:05+00:00"), made_at("2026-01-02T03:04:06+00:00")
    way_back = read_page(render(older, judge(older, newer), "html", None, newer))
    assert "is the newer one of the two" in section(way_back, "comparison").text
    assert "is the newer one" in comparison_document(compare(newer, older)).warnings[0]
    for before, now in ((older, newer), (older, older)):
        page = read_page(render(now, judge(now, before), "html", None, before))
        assert "is the newer one" not in page.text


def test_names_beside_the_plot_lack_the_workload_that_all_share() -> None:
    before, now = run(), run(1.2)
    page = read_page(render(now, judge(now, before), "html", None, before))
    (figure,) = figures(section(page, "comparison"))
    assert figure["layout"]["yaxis"]["ticktext"] == ["fp32/pytorch/cpu/b1", "int8/openvino/cpu/b1"]
