"""Every suite that ships holds against the tables that ship, and checking it loads no engine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from perfsuite.config import read_suite

SUITES = sorted((Path(__file__).parents[3] / "benchmarks").glob("*.toml"))
SCRIPT = """
import sys
from pathlib import Path
from perfsuite.config import cells, check, check_budgets, read_suite
from perfsuite.config.run_plan import plan

suite = read_suite(Path(sys.argv[1]))
check(suite)
check_budgets(suite, cells(suite))
assert plan(suite, cells(suite), {}).total_s > 0
heavy = {"torch", "onnx", "onnxruntime", "openvino", "sklearn", "scipy"}
sys.exit(f"imported: {heavy & set(sys.modules)}" if heavy & set(sys.modules) else 0)
"""


@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_a_suite_mentions_only_what_exists_and_planning_it_loads_no_engine(suite: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(suite)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_documented_budgets_are_taken_as_they_stand(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "suites.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    budgets = [one for one in blocks if "[[budgets]]" in one and "workloads" not in one]
    assert any("min_realised" in one for one in budgets)
    suite = tmp_path / "suite.toml"
    suite.write_text("\n".join(['workloads = ["vgg-digits"]', 'runtimes = ["pytorch"]', *budgets]))
    assert len(read_suite(suite).budgets) == len(budgets)
