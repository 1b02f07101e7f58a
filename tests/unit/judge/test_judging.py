"""The exit code of a whole judgement, and its warnings."""

from __future__ import annotations

import msgspec
import pytest
from judged_runs import INT8, MACHINE, PAIR, budget, record, run, warned

from perfsuite.domain.cell import Cell
from perfsuite.domain.record import Header
from perfsuite.judge import judge


def test_compressed_but_not_faster_is_told() -> None:
    origin, variant = Cell("vgg", "fp32", "openvino"), INT8
    found = judge(run(record(origin, 0.01, 0.01), record(variant, 0.012, 0.012)))
    assert found.exit_code == 0
    assert warned(found) == (
        "vgg/int8/openvino/cpu/b1 is slower than vgg/fp32/openvino/cpu/b1: 0.833x",
    )


def test_one_comes_before_three() -> None:
    budgets = (budget(min_speedup=50.0), budget(cell="none", min_speedup=1.0))
    assert judge(run(*PAIR, budgets=budgets)).exit_code == 1


def test_new_versions_are_told_not_refused() -> None:
    before = run(record(INT8, 0.01, 0.01))
    upgraded = msgspec.structs.replace(MACHINE, subject={"torch": "2.16"})
    found = judge(run(record(INT8, 0.01, 0.01), environment=upgraded), before)
    assert found.exit_code == 0
    assert warned(found) == ("versions differ from the baseline's: torch 2.15 -> 2.16",)


def test_warnings_of_reading_are_passed_on() -> None:
    torn = msgspec.structs.replace(run(*PAIR), warnings=("torn",))
    assert warned(judge(torn, torn)) == ("torn", "baseline: torn")


@pytest.mark.parametrize(
    ("threads", "quota", "told"),
    [(2, None, ""), (3, None, "only 2"), (2, 1.5, ""), (2, 0.5, "only 1")],
)
def test_more_threads_than_cores_are_told(threads: int, quota: float | None, told: str) -> None:
    machine = msgspec.structs.replace(MACHINE.must_match, quota_cores=quota)
    one = record(Cell("vgg", "fp32", "pytorch", threads=threads), 0.1, 0.1)
    found = judge(run(one, environment=msgspec.structs.replace(MACHINE, must_match=machine)))
    assert found.exit_code == 0
    assert len(warned(found)) == bool(told)
    assert all(f"threads = {threads}, but {told} could" in one for one in warned(found))


def test_a_header_without_quick_is_that_of_a_whole_run() -> None:
    old = msgspec.to_builtins(run(PAIR[0]).header)
    del old["quick"]
    assert msgspec.convert(old, Header, strict=False).quick is False
