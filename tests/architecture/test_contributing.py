"""The examples of CONTRIBUTING.md are complete: they are taken from the page and run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from perfsuite import config
from perfsuite.config.expansion import cells
from perfsuite.domain.recipe import PassUse
from perfsuite.runner.build.artifacts import load_runtime
from perfsuite.testing import check_pass, check_runtime, check_workload
from perfsuite.workloads.table import load_workload

SUITE = """
workloads = ["stripes.py:stripes"]
runtimes = ["pytorch", "reference.py:OnnxReference"]
[[recipes]]
name = "smaller"
passes = [{ use = "sparse.py:Sparse", share = 0.3 }, { use = "flush.py:Flush" }]
"""


@pytest.fixture(scope="module")
def folder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the page's examples, each under the name in its first line."""
    folder = tmp_path_factory.mktemp("examples")
    page = (root / "CONTRIBUTING.md").read_text()
    for block in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        name = re.match(r"# (\w+\.py)\n", block)
        assert name, f"an example without a file name: {block[:60]}"
        (folder / name[1]).write_text(block)
    return folder


def test_the_page_has_one_of_each(folder: Path) -> None:
    names = sorted(path.name for path in folder.glob("*.py"))
    assert names == ["flush.py", "reference.py", "sparse.py", "stripes.py", "test_mine.py"]


def test_workload(folder: Path) -> None:
    workload = load_workload(f"{folder}/stripes.py:stripes")
    check_workload(workload)
    from perfsuite.runner.build.reference import module_outputs

    assert workload.model.build is not None
    net = workload.model.build()
    rows = workload.task.rows(lambda inputs: module_outputs(net, inputs), 200)
    assert workload.task.metric(rows) > 0.95


@pytest.mark.parametrize("use", ["sparse.py:Sparse", "flush.py:Flush"])
def test_pass(folder: Path, use: str) -> None:
    check_pass(config.make_pass(PassUse(f"{folder}/{use}")))


@pytest.mark.parametrize("use", ["sparse.py:Sparse", "flush.py:Flush"])
def test_pass_on_the_workload(folder: Path, use: str) -> None:
    workload = load_workload(f"{folder}/stripes.py:stripes")
    check_pass(config.make_pass(PassUse(f"{folder}/{use}")), workload)


def test_runtime(folder: Path) -> None:
    check_runtime(load_runtime(f"{folder}/reference.py:OnnxReference"))


def test_a_suite_may_name_them(folder: Path) -> None:
    (folder / "mine.toml").write_text(SUITE)
    suite = config.read_suite(folder / "mine.toml")
    config.check(suite)
    assert [cell.key for cell in cells(suite)] == [
        "stripes/fp32/pytorch/cpu/b1",
        "stripes/fp32/OnnxReference/cpu/b1",
        "stripes/smaller/pytorch/cpu/b1",
        "stripes/smaller/OnnxReference/cpu/b1",
    ]


def test_the_page_tests_with_the_public_functions(folder: Path) -> None:
    compile((folder / "test_mine.py").read_text(), "test_mine.py", "exec")
