"""How long artifacts took in earlier runs, kept between runs."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

import msgspec
import pytest
from judged_runs import MACHINE

from perfsuite.store import levels
from perfsuite.store.levels import Level, add_levels, read_levels

HERE = MACHINE.must_match


def level(run: str, value: float = 0.0) -> Level:
    return Level(run, value, 0.01)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path))
    return tmp_path


def test_runs_are_added_and_one_run_counts_once() -> None:
    assert read_levels(HERE) == {}
    add_levels(HERE, {"a": {"k": level("1")}, "b": {"k": level("1")}})
    add_levels(HERE, {"a": {"k": level("2")}})
    add_levels(HERE, {"a": {"k": level("2", 3.0)}})  # which went on
    add_levels(HERE, {"a": {"l": level("2")}})
    assert read_levels(HERE) == {
        "a": {"k": (level("1"), level("2", 3.0)), "l": (level("2"),)},
        "b": {"k": (level("1"),)},
    }


def test_of_two_runs_that_end_together_both_are_added(monkeypatch: pytest.MonkeyPatch) -> None:
    other = threading.Thread(target=add_levels, args=(HERE, {"a": {"k": level("2")}}))
    write = levels.write_whole

    def slowly(path: Path, content: bytes) -> None:
        if other.ident is None:  # the first is about to write what it has read
            other.start()
            other.join(0.3)
        write(path, content)

    monkeypatch.setattr(levels, "write_whole", slowly)
    add_levels(HERE, {"a": {"k": level("1")}})
    other.join()
    assert [one.run for one in read_levels(HERE)["a"]["k"]] == ["1", "2"]


def test_another_machine_knows_nothing_of_it(home: Path) -> None:
    add_levels(HERE, {"a": {"k": level("1")}})
    other = msgspec.structs.replace(HERE, model=86)
    assert read_levels(other) == {}
    add_levels(other, {})
    assert len(list((home / "levels").iterdir())) == 1  # nothing to store, no file


def test_only_the_latest_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, most in (("MOST_RUNS", 3), ("MOST_ARTIFACTS", 2), ("MOST_CELLS", 2)):
        monkeypatch.setattr(levels, name, most)
    for run in "12345":
        add_levels(HERE, {"a": {"k": level(run)}})
    assert [one.run for one in read_levels(HERE)["a"]["k"]] == ["3", "4", "5"]
    for artifact in "lm":
        add_levels(HERE, {"a": {artifact: level("6")}})
    assert list(read_levels(HERE)["a"]) == ["l", "m"]
    add_levels(HERE, {"a": {"l": level("7")}})
    add_levels(HERE, {"a": {"n": level("7")}})
    assert list(read_levels(HERE)["a"]) == ["l", "n"]  # m was measured longest ago
    for cell in "bcad":
        add_levels(HERE, {cell: {"k": level("8")}})
    assert list(read_levels(HERE)) == ["a", "d"]


@pytest.mark.parametrize("torn", [b"", b'{"a": {"k": [{"run": "1"', b'{"a": 3}', b"\xff"])
def test_a_torn_file_is_ignored_with_a_warning_and_begun_anew(
    home: Path, torn: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    add_levels(HERE, {"a": {"k": level("1")}})
    (file,) = (home / "levels").iterdir()
    file.write_bytes(torn)
    with caplog.at_level(logging.WARNING):
        assert read_levels(HERE) == {}
    assert f"{file} is ignored" in caplog.text
    add_levels(HERE, {"a": {"k": level("2")}})
    assert read_levels(HERE) == {"a": {"k": (level("2"),)}}


def test_where_nothing_can_be_written_a_warning_says_so(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (home / "levels").write_text("a file")
    with caplog.at_level(logging.WARNING):
        add_levels(HERE, {"a": {"k": level("1")}})
    assert "how long runs took is not kept" in caplog.text
    assert (home / "levels").read_text() == "a file"
