"""Drawn graphs of the operators of the job: nothing is wrong in silence, nothing breaks."""

from __future__ import annotations

import time

from fuzzed_checks import check_drawn


def test_engines_and_int8_answer_as_drawn_graphs_do() -> None:
    assert check_drawn(examples=30, until_s=time.monotonic() + 12.0, seed=0) > 0
