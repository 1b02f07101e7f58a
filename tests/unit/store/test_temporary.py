"""Temporary folders: whose are removed, and whose are left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from perfsuite.store import temporary
from perfsuite.store.temporary import PREFIX, TemporaryFolder, sweep

HOLDING = """
import time
from perfsuite.store.temporary import TemporaryFolder
folder = TemporaryFolder()
print(folder.name, flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def aged(folder: Path) -> Path:
    """Return the folder, which was changed long ago."""
    os.utime(folder, (1.0, 1.0))
    return folder


def made(root: Path, name: str) -> Path:
    folder = root / name
    folder.mkdir()
    (folder / "file").touch()
    return folder


def test_it_is_gone_at_the_end() -> None:
    with TemporaryFolder() as name:
        assert Path(name).name.startswith(PREFIX)
        assert Path(name).is_dir()
    assert not Path(name).exists()


def test_only_that_of_a_killed_process_is_removed() -> None:
    process = subprocess.Popen([sys.executable, "-c", HOLDING], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder = aged(Path(process.stdout.readline().strip()))
    sweep()
    assert folder.is_dir()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    sweep()
    assert not folder.exists()


def test_what_is_fresh_of_others_or_no_folder_stays(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh, other = made(root, f"{PREFIX}fresh"), aged(made(root, "perfsuite-check-1"))
    target = aged(made(root, "target"))
    (root / f"{PREFIX}link").symlink_to(target)
    (root / f"{PREFIX}file").touch()
    sweep()
    mine = aged(made(root, f"{PREFIX}mine"))
    monkeypatch.setattr(temporary.os, "getuid", lambda: root.stat().st_uid + 1)
    sweep()
    assert all((one / "file").exists() for one in (fresh, other, target, mine))
    assert (root / f"{PREFIX}file").exists()
    monkeypatch.undo()
    monkeypatch.setattr(tempfile, "tempdir", str(root))
    sweep()
    assert not mine.exists()


def test_without_locks_folders_are_made_and_none_is_removed(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(temporary.fcntl, "flock", refuse)
    left = aged(made(root, f"{PREFIX}left"))
    with TemporaryFolder():
        sweep()
    assert left.is_dir()
