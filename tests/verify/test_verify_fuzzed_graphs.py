"""Ten minutes of drawn graphs, others in each run: on failure the smallest one is printed.

PERFSUITE_FUZZ_SECONDS makes it shorter or longer.
"""

from __future__ import annotations

import os
import time

import pytest
from fuzzed_graphs import check_drawn


@pytest.mark.verify
def test_engines_and_int8_answer_as_drawn_graphs_do() -> None:
    end_s = time.monotonic() + float(os.environ.get("PERFSUITE_FUZZ_SECONDS", "600"))
    assert check_drawn(examples=10**6, until_s=end_s, seed=time.time_ns()) > 0
