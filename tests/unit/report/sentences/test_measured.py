"""How a change was measured, in words: beside, twice, and between stored runs."""

from __future__ import annotations

from typing import Any

import pytest

from perfsuite.domain.verdict import Interval, Verdict, VerdictStatus
from perfsuite.report.sentences import verdict_sentence
from perfsuite.report.tables.texts import measured_text, passed_text

RED = Interval(0.08, 0.06, 0.10)
SAME = Interval(0.0, -0.01, 0.01)


def changed(status: VerdictStatus, estimate: Interval, **fields: Any) -> Verdict:
    return Verdict(
        status,
        "regression",
        "net/fp32/fake/cpu/b1",
        "latency_s",
        "regression",
        "baseline",
        limit=0.03,
        estimate=estimate,
        unit="s",
        **fields,
    )


@pytest.mark.parametrize(
    ("verdict", "words"),
    [
        (
            changed("pass", SAME, beside=True),
            "as fast as in the baseline (-1 % to +1 %); beside",
        ),
        (
            changed("regressed", RED, beside=True),
            "8 % slower than in the baseline (latency +6 % to +10 %); beside, measured once",
        ),
        (
            changed("regressed", RED, beside=True, again=True),
            "measured a second time: 8 % slower than in the baseline (latency +6 % to +10 %); "
            "beside",
        ),
        (
            changed("pass", SAME, beside=True, again=True),
            "measured a second time: as fast as in the baseline (-1 % to +1 %); beside; the first "
            "time it looked worse",
        ),
        (
            changed("inconclusive", RED, beside=True),
            "8 % slower than in the baseline (latency +6 % to +10 %); beside: too close to tell, "
            "measure more processes",
        ),
        (
            changed("pass", SAME, noise="earlier runs", between=0.021, noise_runs=5),
            "as fast as in the baseline (-1 % to +1 %); stored runs, noise between runs 2.1 % "
            "(from 5 earlier runs)",
        ),
        (
            changed("regressed", RED, noise="certificate", between=0.01),
            "8 % slower than in the baseline (latency +6 % to +10 %); stored runs, noise between "
            "runs 1 % (by the certificate)",
        ),
        (
            changed("inconclusive", RED, noise="unknown", between=0.01),
            "8 % slower than in the baseline (latency +6 % to +10 %); stored runs, noise between "
            "runs not known: too close to tell, measure it beside the baseline (run --baseline)",
        ),
        (
            changed("inconclusive", RED, noise="unknown", between=0.01, tried_beside=True),
            "8 % slower than in the baseline (latency +6 % to +10 %); stored runs, noise between "
            "runs not known: too close to tell, and it could not be measured beside the baseline",
        ),
        (changed("pass", Interval(0.0, 0.0, 0.0)), "as fast as in the baseline"),
    ],
)
def test_sentences(verdict: Verdict, words: str) -> None:
    assert verdict_sentence(verdict) == words


def test_texts_of_tables() -> None:
    assert measured_text(changed("pass", SAME)) == ""
    assert measured_text(changed("pass", SAME, beside=True)) == "beside"
    assert measured_text(changed("pass", SAME, beside=True, again=True)) == "beside, twice"
    known = {"noise": "earlier runs", "between": 0.021, "noise_runs": 5}
    assert measured_text(changed("pass", SAME, **known)) == "stored, ±2.1 %"
    assert measured_text(changed("pass", SAME, **known, again=True)) == "stored, ±2.1 %, twice"
    unknown = changed("pass", SAME, noise="unknown", between=0.01)
    assert measured_text(unknown) == "stored, ±?"


def test_how_many_passed_and_how() -> None:
    beside, stored = changed("pass", SAME, beside=True), changed("pass", SAME)
    assert passed_text([stored, stored], 3) == "2 of 3 not worse than in the baseline"
    assert passed_text([stored, beside], 2) == (
        "2 of 2 not worse than in the baseline (1 measured beside it)"
    )
