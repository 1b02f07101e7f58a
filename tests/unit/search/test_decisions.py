"""Decisions are made once, and survive being cut short."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from perfsuite.errors import ConfigError, PerfsuiteError, SchemaError
from perfsuite.search.decisions import FILE, Decisions


def no_decision() -> int:
    raise AssertionError("it was decided already")


def test_a_decision_is_made_once(tmp_path: Path) -> None:
    with Decisions(tmp_path, resume=False) as decisions:
        assert not decisions.knows("epochs")
        assert decisions.once("epochs", int, lambda: 12) == 12
        assert decisions.once("epochs", int, no_decision) == 12
    with Decisions(tmp_path, resume=True) as decisions:
        assert decisions.knows("epochs")
        assert decisions.once("epochs", int, no_decision) == 12
        assert decisions.once("students", list[str], lambda: ["a"]) == ["a"]


def test_one_that_was_cut_short_while_it_was_written_is_made_again(tmp_path: Path) -> None:
    with Decisions(tmp_path, resume=False) as decisions:
        decisions.once("epochs", int, lambda: 12)
        decisions.once("minutes", int, lambda: 5)
    whole = (tmp_path / FILE).read_bytes()
    (tmp_path / FILE).write_bytes(whole[:-4])
    with Decisions(tmp_path, resume=True) as decisions:
        assert decisions.once("epochs", int, no_decision) == 12
        assert decisions.once("minutes", int, lambda: 7) == 7
    with Decisions(tmp_path, resume=True) as decisions:
        assert decisions.once("minutes", int, no_decision) == 7


def test_a_disk_that_fills_up_costs_no_decision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A system writes what there is room for, and fails only when it is asked for the rest."""
    write, room = os.write, [10, 0]

    def full(descriptor: int, data: bytes) -> int:
        if not (most := room.pop(0)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(descriptor, data[:most])

    with Decisions(tmp_path, resume=False) as decisions:
        decisions.once("epochs", int, lambda: 12)
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(PerfsuiteError, match=r"'minutes' cannot be written: No space left"):
            decisions.once("minutes", int, lambda: 5)
        room += [10, 1000]  # meanwhile there is more
        assert decisions.once("minutes", int, lambda: 7) == 7
    with Decisions(tmp_path, resume=True) as decisions:
        assert decisions.once("epochs", int, no_decision) == 12
        assert decisions.once("minutes", int, no_decision) == 7


def test_a_corrupt_line_is_an_error(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"name": "epochs"\n{"name": "more", "value": 1, "schema": 1}\n')
    with pytest.raises(SchemaError, match=r"line 1 is corrupt: .*start a new search"):
        Decisions(tmp_path, resume=True)


def test_a_newer_search_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text('{"name": "epochs", "value": 1, "schema": 99}\n')
    with pytest.raises(SchemaError, match="newer perfsuite"):
        Decisions(tmp_path, resume=True)


def test_two_processes_do_not_search_in_one_folder(tmp_path: Path) -> None:
    with (
        Decisions(tmp_path, resume=False) as decisions,
        pytest.raises(ConfigError, match="another process is searching there"),
    ):
        decisions.once("epochs", int, lambda: 12)
        Decisions(tmp_path, resume=True)


def test_a_folder_that_holds_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text("{}\n")
    with pytest.raises(ConfigError, match="holds something else already"):
        Decisions(tmp_path, resume=False)
    assert [one.name for one in tmp_path.iterdir()] == ["run.jsonl"]


def test_there_must_be_a_search_to_go_on_with(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no search to go on with"):
        Decisions(tmp_path, resume=True)
