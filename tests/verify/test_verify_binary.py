"""The long proof of binary nets: what `binary.toml` must show, on this processor.

Run it by `make verify`; cut short, it goes on where it was.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest

from perfsuite import api
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Run
from perfsuite.judge.metrics import loss, ratio
from perfsuite.report.sentences import verdict_sentence

pytestmark = pytest.mark.verify

ROOT = Path(__file__).parents[2]
OUT = ROOT / "reports" / "binary"
NETS = ("vgg16-cifar10", "resnet10")


@cache
def proof() -> tuple[Run, Judgement]:
    """Return what is measured, where `make verify` keeps it."""
    _, run, judgement = api.run(
        ROOT / "benchmarks" / "binary.toml", OUT, resume=(OUT / "run.jsonl").exists()
    )
    return run, judgement


def test_the_suite_passes() -> None:
    _, judgement = proof()
    bad = [verdict_sentence(verdict) for verdict in judgement.verdicts if verdict.status != "pass"]
    assert not bad and judgement.exit_code == 0


def record(net: str, recipe: str, runtime: str) -> Any:
    """Return the record of a cell."""
    run, _ = proof()
    key = f"{net}/{recipe}/{runtime}/cpu/b1"
    return run.records[next(cell.id for cell in run.header.cells if cell.key == key)]


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize(("runtime", "least"), [("perfsuite-binary", 4.0), ("openvino", 2.0)])
def test_binary_nets_are_many_times_as_fast_as_in_fp32(
    net: str, runtime: str, least: float
) -> None:
    # 8.2 and 5.2 at the bad ends in benchmarks/RESULTS.md; less where cores share no cache.
    found = ratio(
        record(net, "fp32", "openvino"), record(net, "binary", runtime), "latency_s", "median"
    )
    assert found is not None and found.low >= least


@pytest.mark.parametrize("net", NETS)
@pytest.mark.parametrize("runtime", ["perfsuite-binary", "openvino"])
def test_binary_nets_lose_at_most_six_points(net: str, runtime: str) -> None:
    lost = loss(record(net, "fp32", "pytorch"), record(net, "binary", runtime), "top1")
    assert lost is not None and lost.high <= 6.0
