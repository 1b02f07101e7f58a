"""What the verbs return: three things under names, a line when printed, a report when asked."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from stored_run import store_run

import perfsuite
from perfsuite import JudgedRun, api
from perfsuite.errors import ConfigError


@pytest.fixture
def shown(tmp_path: Path) -> JudgedRun:
    return api.show(store_run(tmp_path / "run"))


def test_its_parts_have_names_and_may_be_unpacked(shown: JudgedRun, tmp_path: Path) -> None:
    folder, run, judgement = shown
    assert folder == shown.folder == tmp_path / "run"
    assert run is shown.run and run.header.suite.name == "small"
    assert judgement is shown.judgement
    assert shown.exit_code == judgement.exit_code == 0


def test_printed_it_is_one_line(shown: JudgedRun, tmp_path: Path) -> None:
    line = f"small: cells: 2 ok; 1 of 1 verdicts pass, exit code 0; kept in {tmp_path}/run"
    assert str(shown) == line
    assert repr(shown) == f"<JudgedRun {line}>"
    records = {
        key: msgspec.structs.replace(record, status="failed")
        for key, record in list(shown.run.records.items())[:1]
    }
    run = msgspec.structs.replace(shown.run, records=records)
    judgement = msgspec.structs.replace(shown.judgement, verdicts=(), exit_code=3)
    cut = shown._replace(run=run, judgement=judgement)
    assert str(cut).startswith("small: cells: 1 failed, 1 missing; exit code 3; kept in ")


def test_it_is_reported_as_by_the_command(shown: JudgedRun) -> None:
    assert shown.report() == api.report(shown.folder, "md")
    assert shown.report("csv") == api.report(shown.folder, "csv")
    with pytest.raises(ConfigError, match="mdd"):
        shown.report("mdd")


def test_paths_are_strings_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    store_run(Path("run"))
    store_run(Path("~"))  # no home folder: a name like others
    assert perfsuite.show("run").folder == Path("run")
    assert perfsuite.show("~").run.records.keys() == perfsuite.show("run").run.records.keys()
    assert perfsuite.gate("run", "~").exit_code == 0
    assert len(perfsuite.compare("run", "~").changes) == 2
    assert api.report("run", "csv", "~") == api.report(Path("run"), "csv", Path("~"))
    assert perfsuite.init("new") == [Path("new/my_models.py"), Path("new/suite.toml")]
    assert perfsuite.plan("new/suite.toml").jobs == perfsuite.plan(Path("new/suite.toml")).jobs
