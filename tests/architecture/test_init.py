"""What `perfsuite init` writes is complete: the suite reads, its model meets the contract."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite import ConfigError, api, config
from perfsuite.config.expansion import cells, check_budgets
from perfsuite.runner.build.reference import module_outputs
from perfsuite.testing import check_workload
from perfsuite.workloads.table import load_workload


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("init") / "new"
    assert [path.name for path in api.init(folder)] == ["my_models.py", "suite.toml"]
    return folder


def test_the_suite_is_whole(folder: Path) -> None:
    suite = config.read_suite(folder / "suite.toml")
    config.check(suite)
    found = cells(suite)
    check_budgets(suite, found)
    assert "my_digits/int8/openvino/cpu/b1" in [cell.key for cell in found]
    assert len(found) == 6
    assert len(suite.budgets) == 2
    assert len(suite.expect) == 1
    assert suite.looks is not None


def test_the_model_meets_the_contract_and_is_a_good_one(folder: Path) -> None:
    workload = load_workload(f"{folder}/my_models.py:my_digits")
    check_workload(workload)
    assert workload.model.build is not None
    net = workload.model.build()
    rows = workload.task.rows(lambda inputs: module_outputs(net, inputs))
    assert len(rows) == 500
    assert workload.task.metric(rows) > 0.97


def test_nothing_is_overwritten(folder: Path) -> None:
    before = (folder / "suite.toml").read_text()
    (folder / "suite.toml").write_text("mine")
    with pytest.raises(ConfigError, match="there is such a file already"):
        api.init(folder)
    assert (folder / "suite.toml").read_text() == "mine"
    (folder / "suite.toml").write_text(before)
