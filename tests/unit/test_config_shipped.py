"""Every suite that ships holds against the tables that ship, and checking it loads no engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SUITES = sorted((Path(__file__).parents[2] / "benchmarks").glob("*.toml"))
SCRIPT = """
import sys
from pathlib import Path
from perfsuite.config import cells, check, check_budgets, read_suite
from perfsuite.config.plan import plan

suite = read_suite(Path(sys.argv[1]))
check(suite)
check_budgets(suite, cells(suite))
assert plan(suite, cells(suite), {}).total_s > 0
heavy = {"torch", "onnx", "onnxruntime", "openvino", "nncf", "sklearn", "scipy"}
sys.exit(f"imported: {heavy & set(sys.modules)}" if heavy & set(sys.modules) else 0)
"""


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_a_suite_mentions_only_what_exists_and_planning_it_loads_no_engine(suite: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(suite)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
