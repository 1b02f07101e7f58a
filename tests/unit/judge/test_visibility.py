"""Suites that ask for more than their machine can see."""

import pytest
from certificates import CERTIFICATE
from judged_runs import budget, run
from msgspec.structs import replace

from perfsuite.domain.judgement import NotVisible
from perfsuite.domain.looks import Looks
from perfsuite.judge.visibility import not_visible
from perfsuite.report.sentences import caution_sentence

SLOWER = budget(name="no slower", max_increase=0.05, against=None, baseline=True)


def header(*budgets, processes=8, **fields):
    made = run(budgets=budgets, processes=processes, looks=Looks(4, processes)).header
    return replace(made, **{"certificate": CERTIFICATE} | fields)


@pytest.mark.parametrize(
    ("processes", "seen"), [(4, 0.15), (7, 0.15), (8, 0.07), (12, None), (24, None)]
)
def test_a_budget_is_held_against_what_so_many_rounds_show(processes, seen):
    found = not_visible(header(SLOWER, processes=processes))
    told = NotVisible("no slower", 0.05, seen, processes, "2026-11-26")
    assert found == ([told] if seen else [])


def test_the_floor_of_regressions_counts_where_there_is_a_baseline():
    assert not_visible(header()) == []
    assert not_visible(header(baseline="before")) == [
        NotVisible("regression", 0.03, 0.07, 8, "2026-11-26")
    ]
    assert not_visible(header(baseline="before", processes=24)) == []


def test_what_sees_nothing_sees_no_limit():
    blind = replace(CERTIFICATE, visible=(replace(CERTIFICATE.visible[0], in_80=None),))
    assert not_visible(header(SLOWER, certificate=blind)) == [
        NotVisible("no slower", 0.05, None, 8, "2026-11-26")
    ]


def test_no_increase_since_the_baseline_cannot_be_seen():
    (found,) = not_visible(header(replace(SLOWER, max_increase=0.0)))
    assert found == NotVisible("no slower", 0.0, 0.07, 8, "2026-11-26")
    assert "code that has not changed is never green; allow" in caution_sentence(found)


def test_other_limits_are_no_question_of_noise():
    others = (
        budget(min_speedup=1.01),
        budget(metric="run_peak_bytes", max_increase=0.001),
        budget(max_increase=0.0),
    )
    assert not_visible(header(*others)) == []


def test_nothing_is_known_without_a_certificate_and_quick_runs_are_told_otherwise():
    assert not_visible(header(SLOWER, certificate=None)) == []
    assert not_visible(header(SLOWER, quick=True)) == []
