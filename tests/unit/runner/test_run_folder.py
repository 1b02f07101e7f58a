"""The folder of a new run."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from perfsuite.config.expansion import cells
from perfsuite.domain.recipe import FP32
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.errors import ConfigError
from perfsuite.runner import run_folder

SUITE = ResolvedSuite("suite", {"net": "vgg-digits"}, ("fake",), (FP32,))


class Stopped(datetime):
    """A clock that stands still, or was set back between two runs."""

    @classmethod
    def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
        return datetime(2026, 1, 1, 23, 59, 59, tzinfo=UTC)


def created() -> Path:
    with run_folder.created(None, SUITE, cells(SUITE)) as journal:
        return journal.folder


def test_runs_that_begin_in_the_same_second_have_folders_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run_folder, "datetime", Stopped)
    assert [created() for _ in range(3)] == [
        Path("reports/suite-20260101-235959"),
        Path("reports/suite-20260102-000000"),
        Path("reports/suite-20260102-000001"),
    ]
    with run_folder.resumed(None, SUITE, cells(SUITE)) as journal:
        assert journal.folder == Path("reports/suite-20260102-000001")


def test_where_no_folder_can_be_made_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("reports").write_text("a file")
    with pytest.raises(ConfigError, match=r"^reports/suite-[0-9-]+: cannot be made: Not a dir"):
        created()
