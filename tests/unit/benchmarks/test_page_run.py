"""The made-up run that pages are timed with, and how large its page is."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from benchmarks.page_run import Size, write_run
from perfsuite import api
from perfsuite.report import render
from perfsuite.store.runs import load_run


def test_it_has_cells_that_ended_in_every_way(tmp_path: Path) -> None:
    run = load_run(write_run(tmp_path / "run", Size(1, 2, 3, 2, samples=10, modules=1)))
    assert run.warnings == ()
    statuses = Counter(record.status for record in run.records.values())
    assert statuses == {"ok": 4, "unsupported": 1, "failed": 1}
    record = next(iter(run.records.values()))
    assert [len(samples) for samples in record.latencies_s.values()] == [10, 10]
    assert record.breakdown
    rows_s = sum(row.time_s for row in record.breakdown.rows)
    assert rows_s == pytest.approx(record.breakdown.total_s)


def test_a_page_of_200_cells_is_small_enough_to_be_sent_on(tmp_path: Path) -> None:
    shown = api.show(write_run(tmp_path / "run"))
    assert len(shown.run.header.cells) == 200
    page = render(shown.run, shown.judgement, "html")
    assert len(page.encode()) < 6e6
