"""The runs of a folder: which are found, and what is said of them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from stored_run import store_run

from perfsuite import api
from perfsuite.errors import ConfigError
from perfsuite.serve import found
from perfsuite.serve.found import Index, Listed, runs_in


def test_runs_are_found_in_folders_of_folders(tmp_path: Path) -> None:
    for name in ("a", "search/1-engines", "x/y/z", "x/y/z/too/deep", "w/x/y/z", ".hidden/run"):
        store_run(tmp_path / name)
    (tmp_path / "rows").mkdir()
    assert runs_in(tmp_path) == {
        name: tmp_path / name for name in ("a", "search/1-engines", "x/y/z")
    }


def test_a_folder_that_is_a_run_is_found_itself(tmp_path: Path) -> None:
    assert runs_in(store_run(tmp_path / "run")) == {"": tmp_path / "run"}


def test_links_are_not_followed(tmp_path: Path) -> None:
    store_run(tmp_path / "secret" / "run")
    shown = tmp_path / "shown"
    (shown / "file").mkdir(parents=True)
    (shown / "folder").symlink_to(tmp_path / "secret", target_is_directory=True)
    (shown / "file" / "run.jsonl").symlink_to(tmp_path / "secret" / "run" / "run.jsonl")
    assert runs_in(shown) == {}


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such folder"):
        runs_in(tmp_path / "nowhere")


def test_the_index_says_what_each_run_is(tmp_path: Path) -> None:
    store_run(tmp_path / "one")
    assert Index(tmp_path).listed() == [
        Listed(
            "one",
            when="2026-01-01T00:00:00+00:00",
            suite="small",
            cells="2 ok",
            outcome="1 pass; exit code 0",
            exit_code=0,
        )
    ]


def test_the_newest_run_comes_first_and_a_torn_one_says_so(tmp_path: Path) -> None:
    for name, year in (("old", 2025), ("new", 2027)):
        file = store_run(tmp_path / name) / "run.jsonl"
        file.write_text(file.read_text().replace('"2026-01-01', f'"{year}-01-01'))
    torn = store_run(tmp_path / "torn") / "run.jsonl"
    torn.write_text(torn.read_text()[:100])
    names = [one.name for one in Index(tmp_path).listed()]
    assert names == ["new", "old", "torn"]
    assert "line 1, the header, is corrupt" in Index(tmp_path).listed()[-1].trouble


def test_a_mistake_in_judging_one_run_leaves_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def show(folder: Path) -> object:
        raise KeyError("a cell that nobody knows")

    store_run(tmp_path / "run")
    monkeypatch.setattr(api, "show", show)
    (only,) = Index(tmp_path).listed()
    assert only.trouble == "cannot be judged: KeyError: 'a cell that nobody knows'"


def test_a_run_is_judged_anew_when_its_journal_or_its_baseline_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = store_run(tmp_path / "elsewhere" / "before")
    now = store_run(tmp_path / "runs" / "now") / "run.jsonl"
    now.write_text(now.read_text().replace('"baseline":""', f'"baseline":"{before}"'))
    looks: list[str] = []
    real = found._look
    monkeypatch.setattr(found, "_look", lambda name, path: looks.append(name) or real(name, path))
    index = Index(tmp_path / "runs")
    assert index.listed() == index.listed()
    assert len(looks) == 1
    for number, file in enumerate((now, before / "run.jsonl")):
        os.utime(file, ns=(number, number))
        index.listed()
        assert len(looks) == 2 + number
        index.listed()
        assert len(looks) == 2 + number


def test_what_takes_too_long_is_judged_by_the_next_view(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        os.utime(store_run(tmp_path / name) / "run.jsonl", ns=(ord(name), ord(name)))
    clock = iter((0.0, 1.0, 2.0, 3.0, 3.5))
    monkeypatch.setattr(found.time, "monotonic", lambda: next(clock))
    index = Index(tmp_path)
    assert [(one.name, one.pending) for one in index.listed()] == [("b", False), ("a", True)]
    assert [(one.name, one.pending) for one in index.listed()] == [("b", False), ("a", False)]
