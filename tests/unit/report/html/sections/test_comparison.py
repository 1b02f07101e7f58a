"""The page of a run that is held against another one."""

from __future__ import annotations

from pathlib import Path

from page_reading import lines, numbers, read_page, section
from reported_run import run
from stored_run import store_run

from perfsuite import api
from perfsuite.judge import compare, judge
from perfsuite.report import render


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
