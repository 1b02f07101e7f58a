"""Tables fit the terminal: nothing is cut, and no number is parted."""

from __future__ import annotations

import io
import re
from typing import Any

import msgspec
import pytest
from certificates import CERTIFICATE
from hypothesis import given
from hypothesis import strategies as st
from reported_run import run as reported
from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

from perfsuite.config.run_plan import PlannedJob, RunPlan
from perfsuite.domain.record import Run
from perfsuite.domain.verdict import Interval
from perfsuite.judge import compare, judge
from perfsuite.report import plan_text, words
from perfsuite.report.certified import print_certificate
from perfsuite.report.fitting import broken, listed, print_table
from perfsuite.report.tables.texts import change_text, faster_text
from perfsuite.report.terminal import print_comparison, print_run

LONG = "a_models_file_with_a_long_name.py:" + "my_very_own_detector_" * 5 + "x"


def console(width: int = 80, **more: Any) -> Console:
    return Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None, **more)


def written(made: Console) -> list[str]:
    assert isinstance(made.file, io.StringIO)
    return [line.rstrip() for line in made.file.getvalue().splitlines()]


def table(width: int, columns: list[str], *lines: list[str]) -> list[str]:
    made = console(width)
    print_table(made, columns, [[Text(text) for text in line] for line in lines])
    return written(made)


def test_what_fits_is_a_table_with_a_gap_of_two() -> None:
    assert table(80, ["cell", "latency"], ["fp32/pytorch", "1.2 ms ±3 %"]) == [
        "cell          latency",
        "fp32/pytorch  1.2 ms ±3 %",
    ]


def test_names_are_broken_at_their_joints_and_numbers_are_not() -> None:
    assert table(30, ["cell", "latency"], ["fp32/onnxruntime/cpu/b1", "1.2 ms ±3 %"]) == [
        "cell               latency",
        "fp32/onnxruntime/  1.2 ms ±3 %",
        "cpu/b1",
    ]


def test_numbers_that_do_not_fit_beside_each_other_stand_below() -> None:
    line = ["✓", "int8/openvino", "1.2 ms ±3 %", "11.2x (10.7-11.8)", ""]
    assert table(30, ["", "cell", "latency", "speed-up", "memory"], line) == [
        "✓ int8/openvino",
        "    latency 1.2 ms ±3 %;",
        "    speed-up 11.2x (10.7-11.8)",
    ]


NUMBERS = st.lists(
    st.sampled_from(["1.1 ms ±2.5 %", "11.2x (10.7-11.8)", "92.36 %", ""]), max_size=6
)
NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=60
)


@given(NAMES, NUMBERS, st.integers(40, 130))
def test_no_line_is_too_long_and_no_number_is_parted(
    name: str, numbers: list[str], width: int
) -> None:
    columns = ["cell", *(f"c{place}" for place in range(len(numbers)))]
    found = table(width, columns, [name, *numbers])
    assert all(cell_len(line) <= width for line in found)
    text = "\n".join(found)
    assert all(text.count(one) >= numbers.count(one) for one in numbers)


@given(NAMES, st.integers(2, 40))
def test_broken_texts_lose_nothing(name: str, width: int) -> None:
    lines = broken(name, width)
    assert "".join(lines) == name
    assert all(cell_len(line) <= width for line in lines)


def long_names() -> Run:
    """Return a run whose workload has a long name."""
    found = reported()
    cells = {
        cell.id: msgspec.structs.replace(cell, workload=LONG) for cell in found.header.cells[:4]
    }
    records = {
        cells[one].id: msgspec.structs.replace(found.records[one], cell=cells[one]) for one in cells
    }
    suite = msgspec.structs.replace(found.header.suite, workloads={LONG: LONG})
    header = msgspec.structs.replace(found.header, cells=tuple(cells.values()), suite=suite)
    return Run(header, records)


def shown_run(made: Console) -> None:
    print_run(made, long_names(), judge(long_names()))


def shown_comparison(made: Console) -> None:
    print_comparison(made, compare(long_names(), long_names()))


def shown_certificate(made: Console) -> None:
    print_certificate(made, CERTIFICATE, [f"{LONG}: a caution"])


@pytest.mark.parametrize("show", [shown_run, shown_comparison, shown_certificate])
def test_every_line_of_a_command_fits_and_is_whole(show: Any) -> None:
    made = console(80)
    show(made)
    lines = written(made)
    assert lines
    assert max(map(cell_len, lines)) <= 80
    assert not any("…" in line for line in lines)
    wide = console(400)
    show(wide)
    figures = re.findall(r"±\d+(?:\.\d+)? %", "\n".join(written(wide)))
    assert all("\n".join(lines).count(one) >= figures.count(one) for one in set(figures))


def test_plans_and_lists_fit_and_keep_numbers_with_their_units() -> None:
    kinds = ("prepare", "evaluate", "inspect", "measure")
    jobs = tuple(PlannedJob(kind, LONG[:70], 10, 12.0, False) for kind in kinds)
    lines = plan_text(RunPlan(jobs, 480.0), 50).splitlines()
    assert lines[0] == LONG[:70]  # names are copied whole
    assert max(map(len, lines[1:-1])) <= 50
    assert " ".join(line.strip() for line in lines[1:-1]).count(" s") == 4
    assert not any(line.endswith("120") for line in lines)
    found = listed({"int8": "rounds " * 20, LONG[:40]: "mine"}, 60)
    assert max(map(len, found)) <= 60
    assert found[-2:] == [f"  {LONG[:40]}", " " * 24 + "mine"]


def test_what_is_noise_is_no_figure() -> None:
    wild = Interval(39.0, 0.00785, 194760.0)
    assert words.is_noise(wild) and not words.is_noise(Interval(1.0, 0.4, 3.0))
    assert faster_text(wild) == change_text(wild) == "noise"


def test_a_terminal_without_colours_and_a_pipe_are_plain(monkeypatch: pytest.MonkeyPatch) -> None:
    coloured = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    shown_run(coloured)
    assert "\x1b[" in coloured.file.getvalue()  # type: ignore[attr-defined]
    piped = Console(file=io.StringIO())
    shown_run(piped)
    assert "\x1b" not in piped.file.getvalue()  # type: ignore[attr-defined]
    monkeypatch.setenv("NO_COLOR", "1")
    bare = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard")
    shown_run(bare)
    assert not re.search(r"\x1b\[[\d;]*3[0-7]m", bare.file.getvalue())  # type: ignore[attr-defined]
