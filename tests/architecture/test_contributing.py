"""The examples of CONTRIBUTING.md are complete: they are taken from the page and run."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from fake_runs import here

from perfsuite import api, config, plugins
from perfsuite.config.expansion import cells
from perfsuite.runner import schedule

SUITE = """
workloads = ["stripes.py:stripes"]
runtimes = ["pytorch", "reference.py:OnnxReference"]
threads = 1
processes = 1
measure = { calls = 3, seconds = 0.0, warmup_seconds = 0.0 }
evaluate = { samples = 200 }
meters = ["memory", "processor.py:ProcessorTime"]
[[recipes]]
name = "smaller"
passes = [{ use = "sparse.py:Sparse", share = 0.3 }, { use = "flush.py:Flush" }]
[[budgets]]
name = "an hour is enough"
metric = "processor_s"
cell = "stripes/smaller/OnnxReference/*"
max = 3600.0
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
    assert names == [
        "flush.py",
        "page.py",
        "processor.py",
        "reference.py",
        "sparse.py",
        "stripes.py",
        "test_mine.py",
    ]


def test_the_pages_test_passes(folder: Path) -> None:
    """It is run as its reader runs it: by pytest, beside the examples, with nothing of ours."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "test_mine.py"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 passed" in done.stdout


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


def test_the_suite_runs_with_them(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    (folder / "mine.toml").write_text(SUITE)
    done = api.run(folder / "mine.toml", tmp_path / "run", only="stripes/smaller/OnnxReference/*")
    (record,) = done.run.records.values()
    assert record.error is None and record.status == "ok", record.error
    (taken_s,) = record.values["processor_s"]
    assert 0.0 < taken_s < 3600.0
    page = done.report(f"{folder / 'page.py'}:Page")
    assert page.startswith("<title>mine</title><ul><li>stripes/smaller/OnnxReference/cpu/b1: ")
    assert record.accuracies[0].metric == "top1"
    assert record.accuracies[0].value > 0.95
    # A graph pass that quantizes nothing: the engine's evidence tells of fp32.
    assert record.evidence is not None and record.evidence.kernels["Conv fp32"] == 1


def test_its_entry_points_are_groups_that_are_looked_for(root: Path) -> None:
    page = (root / "CONTRIBUTING.md").read_text()
    (block,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    named = tomllib.loads(block)["project"]["entry-points"]
    assert set(named) <= set(plugins.GROUPS.values())
