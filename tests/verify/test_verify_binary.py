"""The kernels of binary nets as other processors would have them: AVX2 alone, and without it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perfsuite.processor import read_processor

TESTS = Path(__file__).parent.parent / "unit" / "runtimes" / "binary"
SETS = {
    "AVX2": "+sse2,+ssse3,+sse4.1,+sse4.2,+popcnt,+avx,+avx2,+fma",
    "plain": "+sse2",
}
# Compiles in the process that it is started in, and says what for.
PROGRAM = """
import sys
from perfsuite.runtimes.binary.evidence import _instructions, code_around
from perfsuite.runtimes.binary.team import compiled
item = _instructions(code_around(compiled().run))
print(item.how, item.value)
"""


@pytest.mark.verify
@pytest.mark.parametrize("name", SETS)
def test_kernels_are_exact_with_other_instructions(name: str, tmp_path: Path) -> None:
    if not {"avx2", "fma"} <= set(read_processor().features):
        pytest.skip("this processor has no AVX2")
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": "generic",
        "NUMBA_CPU_FEATURES": SETS[name],
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    told = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == ("observed AVX2" if name == "AVX2" else "inferred plain")
    tests = [str(TESTS / "test_exact.py"), str(TESTS / "test_nets.py")]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *tests]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
