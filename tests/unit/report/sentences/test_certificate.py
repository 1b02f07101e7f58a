"""What a machine sees, in words."""

import pytest
from certificates import CERTIFICATE
from msgspec.structs import replace

from perfsuite.domain.certificate import Visible
from perfsuite.domain.judgement import NotVisible
from perfsuite.domain.verdict import Interval
from perfsuite.report.sentences import caution_sentence
from perfsuite.report.sentences.certificate import certificate_sentence, share_sentences
from perfsuite.report.tables import certificate as tables


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        ((Visible(4, 0.02, 0.05), Visible(8, 0.01, 0.02)), "this machine sees 2 % in 4 rounds"),
        ((Visible(4, 0.2, None), Visible(24, 0.05, 0.1)), "this machine sees 5 % in 24 rounds"),
        ((Visible(4, None, None),), "this machine sees no change that was tried"),
    ],
)
def test_it_is_told_what_is_seen_in_as_many_rounds_as_the_floor_needs(seen, sentence):
    found = certificate_sentence(replace(CERTIFICATE, visible=seen))
    assert found == f"{sentence}; certified 2026-11-26"


def test_a_quick_certificate_says_so():
    found = certificate_sentence(replace(CERTIFICATE, quick=True))
    assert found == "this machine sees 3 % in 24 rounds; certified 2026-11-26 (quick)"


def test_shares_have_their_intervals():
    assert share_sentences(CERTIFICATE) == [
        "false alarms: 0 % of changes of nothing come out red (0 % to 0.2 %)",
        "coverage: 95 % of 95 % intervals hold the known ratio (70 % to 99 %)",
        "between runs: latencies differ by 2 % from one run to the next, beyond what the "
        "processes of a run show",
    ]
    sure = Interval(0.0, 0.0, 0.0)
    few = share_sentences(replace(CERTIFICATE, between_runs=None, false_alarms=sure))
    assert few[0] == "false alarms: 0 % of changes of nothing come out red"
    assert few[2] == "between runs: too few rounds to tell what differs from one run to the next"


def test_tables_hold_known_changes_power_and_time():
    assert tables.cell_columns(CERTIFICATE) == ("cell", "spread", "unchanged", "+5 %")
    assert list(tables.cell_lines(CERTIFICATE)) == [
        (
            "vgg/fp32/onnxruntime/cpu/b1",
            "4 %",
            "+0.1 % (-1.7 to 1.9)",
            "+5.2 % (3 to 7)",
        )
    ]
    assert next(tables.power_lines(CERTIFICATE)) == ("3 %", "81 % (70 % to 90 %)")
    assert list(tables.visible_lines(CERTIFICATE))[-1] == ("24", "2.4 min", "3 %", "4 %")
    blind = replace(CERTIFICATE, visible=(Visible(4, None, None),))
    assert list(tables.visible_lines(blind)) == [("4", "0.4 min", "none", "none")]


def test_a_limit_that_is_too_fine_is_told_with_what_to_do():
    said = caution_sentence(NotVisible("regression", 0.03, None, 4, "2026-11-26"))
    assert said == (
        "regressions are about changes of 3 %, and this machine sees no change that was tried in "
        "4 rounds (certified 2026-11-26): measure more processes, beside the baseline, or on a "
        "quieter machine"
    )
