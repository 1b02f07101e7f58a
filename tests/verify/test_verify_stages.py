"""The long proof of the breakdown: `benchmarks/stages.toml`, and what it must show.

Run it by `make verify`; cut short, it goes on where it was. It needs BCCD, in the folder that
`PERFSUITE_BCCD` names.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from stages_run import (
    DETECTORS,
    ENGINES,
    OUT,
    PARITY,
    RESNET,
    ROOT,
    RUNTIMES,
    SHUFFLENET,
    accuracy,
    breakdown,
    record,
)

from perfsuite.domain.judgement import Judgement
from perfsuite.domain.metrics import STAGE
from perfsuite.domain.profile import OVERHEAD, UNATTRIBUTED, Breakdown, BreakdownRow
from perfsuite.domain.record import UNLABELLED, Run
from perfsuite.domain.suite import Budget
from perfsuite.domain.task import SEMI_SYNTHETIC, SYNTHETIC
from perfsuite.domain.verdict import VerdictStatus
from perfsuite.judge import judge, metrics
from perfsuite.report.profile.tree import sentences
from perfsuite.report.sentences import verdict_sentence
from perfsuite.store.journal import read
from perfsuite.store.runs import load_run
from perfsuite.workloads.table import load_workload

pytestmark = pytest.mark.verify

# The nets whose weights ship; their cards name the metrics of the workload of the same name.
TRAINED = (
    "devise", SHUFFLENET, "show-attend-tell", "vehicle-type", "whale-id", "whale-id-plain",
)  # fmt: skip
LABELS = {
    RESNET: {"untrained", "300 proposals", "100 detections at most"},
    "show-attend-tell": {SEMI_SYNTHETIC},
    "vehicle-type": {SEMI_SYNTHETIC},
    "whale-id": {SYNTHETIC},
    "whale-id-plain": {SYNTHETIC},
}
WORKLOADS = sorted({*DETECTORS, *TRAINED, *LABELS})
UNATTRIBUTED_MOST = {"onnxruntime": 0.02, "openvino": 0.05}


# -- the run ------------------------------------------------------------------------------------


def test_every_cell_is_ok_and_every_budget_holds(stages: tuple[Run, Judgement]) -> None:
    run, judgement = stages
    cells = {record.cell.key: record.status for record in run.records.values()}
    assert cells == {f"{w}/fp32/{r}/cpu/b1": "ok" for w in WORKLOADS for r in RUNTIMES}
    bad = [verdict_sentence(verdict) for verdict in judgement.verdicts if verdict.status != "pass"]
    assert not bad and judgement.exit_code == 0


@pytest.mark.parametrize("workload", WORKLOADS)
def test_every_cell_says_what_its_results_rest_on(run: Run, workload: str) -> None:
    for runtime in RUNTIMES:
        found = record(run, workload, runtime)
        assert set(found.labels) >= LABELS.get(workload, set())
        assert (found.accuracy is None) == (UNLABELLED in found.labels) == (workload == RESNET)


# -- the breakdown ------------------------------------------------------------------------------


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_rows_are_the_stages_and_add_up(run: Run, workload: str, runtime: str) -> None:
    found = breakdown(run, workload, runtime)
    declared = {stage.name for stage in load_workload(workload).model.stages}
    assert {row.name for row in found.rows} == {*declared, OVERHEAD, UNATTRIBUTED}
    assert math.fsum(row.time_s for row in found.rows) == pytest.approx(found.total_s, rel=1e-9)
    for row in found.rows:
        check_sums(row)


def check_sums(row: BreakdownRow) -> None:
    """Raise unless the times below a row add up to its own."""
    assert row.time_s >= 0, row.name
    if row.children:
        below = math.fsum(child.time_s for child in row.children)
        assert below == pytest.approx(row.time_s, rel=1e-9), row.name
    for child in row.children:
        check_sums(child)


@pytest.mark.parametrize("runtime", ENGINES)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_hardly_any_time_has_no_stage(run: Run, workload: str, runtime: str) -> None:
    found = breakdown(run, workload, runtime)
    (lost,) = (row for row in found.rows if row.name == UNATTRIBUTED)
    named = [child.name for child in lost.children]
    assert lost.time_s <= UNATTRIBUTED_MOST[runtime] * found.total_s, named


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("workload", WORKLOADS)
def test_a_profiled_call_takes_as_long_as_another_or_says_why_not(
    run: Run, workload: str, runtime: str
) -> None:
    found = breakdown(run, workload, runtime)
    latency_s = metrics.typical_latency(record(run, workload, runtime))
    assert latency_s is not None
    if abs(found.total_s / latency_s - 1) <= 0.1:
        return
    assert found.untraced_s is not None
    said = " ".join(sentences(found, None, latency_s))
    assert "Profiling cost" in said
    apart = abs(found.untraced_s / latency_s - 1) > 0.1
    assert ("a difference between processes, not profiling" in said) == apart


# -- the answers --------------------------------------------------------------------------------


def test_every_export_answers_as_its_model(run: Run) -> None:
    _, lines, _ = read(OUT)
    prepared = {line.key: line for line in lines if line.job == "prepare" and line.status == "ok"}
    assert prepared.keys() == {one.cell.key for one in run.records.values()}
    for key, line in prepared.items():
        assert line.parity, key
        if not key.startswith(DETECTORS):  # whose answers are sets: compared below
            assert max(line.parity.values()) <= PARITY, key


# -- how good they are --------------------------------------------------------------------------


@pytest.mark.parametrize("workload", TRAINED)
def test_own_weights_score_what_their_cards_say(run: Run, workload: str) -> None:
    card = ROOT / "perfsuite" / "workloads" / "zoo" / "weights" / f"{workload}.md"
    said = re.findall(
        r"^\| (\w+)[^|]*, measured on these weights as loaded, in float32 "
        r"\| ([\d.]+)% of ([\d,]+) test pictures \|$",
        card.read_text(),
        re.MULTILINE,
    )
    found = record(run, workload, "pytorch").accuracies
    assert [(one.metric, f"{one.samples:,}") for one in found] == [
        (metric, samples) for metric, _, samples in said
    ]
    for one, (_, percent, _) in zip(found, said, strict=True):
        assert one.value == pytest.approx(float(percent) / 100, abs=5e-5 + 1e-9), one.metric


@pytest.mark.parametrize("workload", sorted({*WORKLOADS} - {RESNET}))
def test_engines_score_what_eager_pytorch_scores(run: Run, workload: str) -> None:
    for engine in ENGINES:
        eager, answered = (record(run, workload, one).accuracies for one in ("pytorch", engine))
        assert [one.metric for one in answered] == [one.metric for one in eager]
        for one, other in zip(answered, eager, strict=True):
            assert one.value == pytest.approx(other.value, abs=0.002), (engine, one.metric)


def test_the_trained_detector_finds_blood_cells(run: Run) -> None:
    assert all(accuracy(run, SHUFFLENET, runtime) >= 0.60 for runtime in RUNTIMES)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_four_stages_identify_more_whales_than_one_net(run: Run, runtime: str) -> None:
    plain, staged = (record(run, name, runtime) for name in ("whale-id-plain", "whale-id"))
    lost = metrics.known_loss(plain, staged)  # a paired bootstrap over the same pictures
    assert lost is not None
    assert lost.low <= lost.value <= lost.high < 0


# -- budgets on stages --------------------------------------------------------------------------

BACKBONE = Budget("backbone", STAGE, f"{RESNET}/fp32/onnxruntime/*", stage="backbone")


@pytest.mark.parametrize(
    ("share", "status", "code"), [(0.99, "pass", 0), (0.001, "over_budget", 1)]
)
def test_a_budget_on_the_share_of_a_stage(
    run: Run, share: float, status: VerdictStatus, code: int
) -> None:
    judgement = judge(held_to(run, msgspec.structs.replace(BACKBONE, max_share=share)))
    assert [verdict.status for verdict in judgement.verdicts] == [status]
    assert judgement.exit_code == code
    assert f"stage {BACKBONE.stage}: " in verdict_sentence(judgement.verdicts[0])


def test_a_budget_on_the_increase_of_a_stage(run: Run) -> None:
    budget = msgspec.structs.replace(BACKBONE, baseline=True, max_increase=0.5)
    now = held_to(run, budget)
    for before, status in ((run, "pass"), (faster(run, 10), "over_budget")):
        found = [one for one in judge(now, before).verdicts if one.budget == budget.name]
        assert [verdict.status for verdict in found] == [status]


def held_to(run: Run, budget: Budget) -> Run:
    """Return the run as if this had been its suite's only budget."""
    suite = msgspec.structs.replace(run.header.suite, budgets=(budget,))
    header = msgspec.structs.replace(run.header, suite=suite)
    return msgspec.structs.replace(run, header=header)


def faster(run: Run, times: float) -> Run:
    """Return the run as if the backbone had taken less time, in every cell and process."""
    records = {
        cell: msgspec.structs.replace(
            found,
            stages_s={
                number: {
                    name: s / times if name == BACKBONE.stage else s for name, s in rows.items()
                }
                for number, rows in found.stages_s.items()
            },
        )
        for cell, found in run.records.items()
    }
    return msgspec.structs.replace(run, records=records)


# -- one workload, looked at --------------------------------------------------------------------


def test_a_profile_prints_the_bottleneck_and_its_trace_agrees(tmp_path: Path) -> None:
    out = tmp_path / "profile"
    command = ["profile", RESNET, "--runtime", "onnxruntime", "--threads", "2", "-o", str(out)]
    done = subprocess.run(
        [sys.executable, "-m", "perfsuite", *command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    printed = " ".join(done.stdout.split())
    assert "holds the model back: " in printed and "untrained" in printed
    (found,) = (one.breakdown for one in load_run(out).records.values())
    assert found is not None
    assert all(row.name in printed for row in found.rows)
    events = json.loads((out / "trace.json").read_text())["traceEvents"]
    check_trace([event for event in events if event["ph"] == "X"], found)


def check_trace(events: list[dict[str, Any]], found: Breakdown) -> None:
    """Raise unless the slices of one track are the breakdown's rows."""
    kinds: dict[str, list[dict[str, Any]]] = {"call": [], "stage": [], "operator": []}
    for event in events:
        kinds[event["cat"]].append(event)
    (call,) = kinds["call"]
    assert call["args"]["time_s"] == found.total_s
    times: dict[str, float] = {}
    inside: set[int] = set()
    for stage in kinds["stage"]:
        operators = [one for one in kinds["operator"] if within(one, stage)]
        inside |= {id(one) for one in operators}
        took_s = math.fsum(one["dur"] for one in operators) / 1e6
        assert took_s == pytest.approx(stage["args"]["time_s"], rel=1e-6, abs=1e-9)
        assert took_s <= stage["dur"] / 1e6 * (1 + 1e-6) + 1e-9, "there may be gaps in a slice"
        assert within(stage, call)
        times[stage["name"]] = times.get(stage["name"], 0.0) + took_s
    assert len(inside) == len(kinds["operator"]), "each operator lies in a slice of its stage"
    for row in found.rows:
        if row.name == OVERHEAD:
            assert call["args"]["engine_overhead_s"] == pytest.approx(row.time_s)
        else:
            assert times.get(row.name, 0.0) == pytest.approx(row.time_s, rel=1e-6, abs=1e-9)


def within(one: dict[str, Any], whole: dict[str, Any]) -> bool:
    """Tell whether the middle of a slice lies in another, whatever rounding did to its ends."""
    middle = one["ts"] + one["dur"] / 2
    return bool(whole["ts"] <= middle <= whole["ts"] + whole["dur"])
