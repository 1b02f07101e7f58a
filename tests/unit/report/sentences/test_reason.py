"""Every kind of reason has its sentence, and none shows through unfilled."""

from __future__ import annotations

from typing import get_args

import pytest

from perfsuite.domain.verdict import Difference, Reason, ReasonKind, Verdict
from perfsuite.report.sentences import reason_text, verdict_sentence


@pytest.mark.parametrize("kind", get_args(ReasonKind))
def test_every_kind_is_told(kind: ReasonKind) -> None:
    differences = (Difference("usable_cores", 2, 64),)
    told = reason_text(Reason(kind, names=("top1", "2"), text="the text", differences=differences))
    assert told
    assert "{}" not in told
    assert (told == "the text") == (kind in ("other_samples", "shown"))


@pytest.mark.parametrize(
    ("whose", "told"),
    [
        ("", "has no macs"),
        ("baseline", "in the baseline it has no macs"),
        ("net/fp32/fake/cpu/b1", "net/fp32/fake/cpu/b1 has no macs"),
    ],
)
def test_whose_it_is(whose: str, told: str) -> None:
    assert reason_text(Reason("no_metric", whose, names=("macs",))) == told


@pytest.mark.parametrize(
    ("keys", "told"),
    [
        ((), "against = 'n*' must match one cell of the run, not 0"),
        (("a", "b"), "against = 'n*' must match one cell of the run, not 2: a, b"),
        (("a", "b", "c", "d"), "against = 'n*' must match one cell of the run, not 4: a, b, c"),
    ],
)
def test_a_reference_that_is_not_one_cell(keys: tuple[str, ...], told: str) -> None:
    assert reason_text(Reason("not_one_reference", names=keys, text="n*")) == told


def test_the_ways_in_which_machines_differ() -> None:
    differences = (
        Difference("processor", "A", "B"),
        Difference("flags", ("a", "b", "c", "d"), ("e",)),
        Difference("caches_bytes", {"L1d": 1, "L2": 2}, {"L1d": 1}),
        Difference("quota_cores", None, 1.5),
    )
    assert reason_text(Reason("other_machine", differences=differences)) == (
        "the machines differ in processor ('A' here, 'B' in the baseline), flags (only one has a, "
        "b, c and 2 more), caches bytes (of L2), quota cores (null here, 1.5 in the baseline): "
        'absolute times are not comparable; set compare = "ratio" or make the baseline here'
    )


def test_what_has_no_estimate_is_told_by_its_reason() -> None:
    reason = Reason("not_ok", names=("failed",), text="BuildError: no kernel")
    verdict = Verdict("failed", "status", "net/fp32", "status", "status", reason=reason)
    assert verdict_sentence(verdict) == "failed: BuildError: no kernel"
    assert reason_text(Reason("not_ok", names=("unsupported",))) == "unsupported"
