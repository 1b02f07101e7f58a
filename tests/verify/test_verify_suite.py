"""The long proof: `benchmarks/verify.toml` on the whole test set, and what it must show.

Run it by `make verify`; cut short, it goes on where it was.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perfsuite import api
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Record, Run
from perfsuite.report.sentences import verdict_sentence
from perfsuite.store.journal import read

pytestmark = pytest.mark.verify

ROOT = Path(__file__).parents[2]
OUT = ROOT / "reports" / "verify"
PICTURES = 10_000
ENGINES = ("onnxruntime", "openvino")
# Measured by the people whose weights these are, to the picture.
GIVEN = {"resnet20": 0.9173, "resnet56": 0.9339}


@pytest.fixture(scope="module")
def proof() -> tuple[Run, Judgement]:
    resume = (OUT / "run.jsonl").exists()
    _, run, judgement = api.run(ROOT / "benchmarks" / "verify.toml", OUT, resume=resume)
    return run, judgement


def record(run: Run, workload: str, recipe: str, runtime: str) -> Record:
    key = f"{workload}/{recipe}/{runtime}/cpu/b1"
    return next(record for record in run.records.values() if record.cell.key == key)


def top1(run: Run, workload: str, recipe: str, runtime: str) -> float:
    accuracy = record(run, workload, recipe, runtime).accuracy
    assert accuracy is not None and accuracy.samples == PICTURES
    return accuracy.value


def test_all_budgets_pass(proof: tuple[Run, Judgement]) -> None:
    _, judgement = proof
    bad = [verdict_sentence(verdict) for verdict in judgement.verdicts if verdict.status != "pass"]
    assert not bad and judgement.exit_code == 0


@pytest.mark.parametrize("workload", sorted(GIVEN))
def test_given_weights_score_what_they_are_known_to_score(
    proof: tuple[Run, Judgement], workload: str
) -> None:
    run, _ = proof
    assert top1(run, workload, "fp32", "pytorch") == pytest.approx(GIVEN[workload], abs=1e-9)
    for engine in ENGINES:
        assert abs(top1(run, workload, "fp32", engine) - GIVEN[workload]) <= 0.0005


@pytest.mark.parametrize(
    ("workload", "least"), [("vgg16-cifar10", 0.925), ("shufflenet-cifar10", 0.89)]
)
def test_own_weights_score_what_their_cards_say(
    proof: tuple[Run, Judgement], workload: str, least: float
) -> None:
    run, _ = proof
    card = ROOT / "perfsuite" / "workloads" / "weights" / f"{workload}.md"
    measured = top1(run, workload, "fp32", "pytorch")
    said = re.search(r"([\d.]+)% of 10,000 test pictures", card.read_text())
    assert said is not None
    assert measured >= least
    assert measured == pytest.approx(float(said[1]) / 100, abs=5e-5 + 1e-9)


def test_every_export_answers_as_its_model(proof: tuple[Run, Judgement]) -> None:
    _, lines, _ = read(OUT)
    exported = [
        line
        for line in lines
        if line.job == "prepare" and line.status == "ok" and "/fp32/" in line.key
    ]
    assert len(exported) == 4 * 3
    for line in exported:
        assert line.parity and max(line.parity.values()) <= 1e-4, line.key
