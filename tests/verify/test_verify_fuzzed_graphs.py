"""Ten minutes of drawn graphs, others in each run: on failure the smallest one is printed.

INT8 is also held against onnxruntime's quantize_static. PERFSUITE_FUZZ_SECONDS makes it shorter or
longer, PERFSUITE_FUZZ_SEED draws the graphs of an earlier run again.
"""

from __future__ import annotations

import os
import time

import pytest
from fuzzed_checks import check_drawn
from fuzzed_graphs import graphs
from fuzzed_sequences import sequence_graphs

KINDS = {"pictures": graphs(), "sequences": sequence_graphs()}


@pytest.mark.verify
@pytest.mark.parametrize("kind", KINDS)
def test_engines_and_int8_answer_as_drawn_graphs_do(kind: str) -> None:
    seconds = float(os.environ.get("PERFSUITE_FUZZ_SECONDS", "600")) / len(KINDS)
    seed = int(os.environ.get("PERFSUITE_FUZZ_SEED", time.time_ns()))
    print(f"PERFSUITE_FUZZ_SEED={seed}")
    taken = check_drawn(
        examples=10**6,
        until_s=time.monotonic() + seconds,
        seed=seed,
        strategy=KINDS[kind],
        beside_static=True,
    )
    assert taken > 0
