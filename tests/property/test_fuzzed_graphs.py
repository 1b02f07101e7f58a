"""Drawn graphs of the operators of the job: nothing is wrong in silence, nothing breaks."""

from __future__ import annotations

import time

import fuzzed_checks
import pytest
from fuzzed_checks import check_drawn


def test_engines_and_int8_answer_as_drawn_graphs_do() -> None:
    assert check_drawn(examples=30, until_s=time.monotonic() + 12.0, seed=0) > 0


def test_a_failure_is_told_though_the_time_is_over_while_it_is_made_smaller(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    end_s = time.monotonic() + 2.0

    def wrong(*_: object, **__: object) -> None:
        time.sleep(max(0.0, end_s - time.monotonic()))
        raise AssertionError("wrong")

    monkeypatch.setattr(fuzzed_checks, "check", wrong)
    with pytest.raises(AssertionError, match="wrong"):
        check_drawn(examples=5, until_s=end_s, seed=0)
