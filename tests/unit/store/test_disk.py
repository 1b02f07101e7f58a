"""What writers of files share: folders that can be written, full disks, files that stay."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from perfsuite.errors import ConfigError, PerfsuiteError
from perfsuite.store import disk


def test_a_folder_is_made_with_those_above_it(tmp_path: Path) -> None:
    for _ in range(2):
        assert disk.writable(tmp_path / "a" / "b") == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()


def test_a_folder_that_may_not_be_written_or_entered_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def access(path: Path, mode: int) -> bool:
        asked.append((path, mode))
        return False

    monkeypatch.setattr(os, "access", access)  # root, who may run the tests, may do everything
    with pytest.raises(ConfigError) as caught:
        disk.writable(tmp_path)
    assert asked == [(tmp_path, os.W_OK | os.X_OK)]
    assert str(caught.value) == (
        f"{tmp_path}: cannot be written: Permission denied; let the environment variable "
        "PERFSUITE_HOME name a folder that can"
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_explained(tmp_path: Path, number: int) -> None:
    with pytest.raises(PerfsuiteError) as caught, disk.room_for(tmp_path):
        raise OSError(number, "it is full")
    assert str(caught.value) == (
        f"{tmp_path}: the disk is full (it is full); make room, or let PERFSUITE_HOME name "
        "a folder on another disk"
    )


def test_other_errors_of_the_system_are_left_alone(tmp_path: Path) -> None:
    with pytest.raises(IsADirectoryError), disk.room_for(tmp_path):
        raise OSError(errno.EISDIR, "a folder")


def test_every_file_of_a_folder_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    for name in ("one", "below/two"):
        (tmp_path / name).write_text(name)
    waited: list[Path] = []

    def fsync(descriptor: int) -> None:
        waited.append(Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(tmp_path))

    monkeypatch.setattr(os, "fsync", fsync)
    disk.flush(tmp_path)
    assert sorted(waited) == [Path("below/two"), Path("one")]
