"""What writers of files share: folders that can be written, files that stay."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from perfsuite.errors import ConfigError, DiskFull
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


def test_a_disk_without_room_for_a_folder_or_a_lock_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch, pytest.raises(DiskFull, match="the disk is full"):
        patch.setattr(Path, "mkdir", full)
        disk.writable(tmp_path / "new")
    monkeypatch.setattr(disk.FileLock, "acquire", full)
    with pytest.raises(DiskFull, match=r"a\.lock: the disk is full"):
        disk.locked(tmp_path, "a.lock").__enter__()


@pytest.fixture
def synced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what has been waited for, in order, relative to the test's folder."""
    waited: list[str] = []

    def fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        waited.append(str(path.relative_to(tmp_path)))

    monkeypatch.setattr(os, "fsync", fsync)
    return waited


def test_a_file_is_on_the_disk_before_it_gets_its_name(tmp_path: Path, synced: list[str]) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with disk.replacing(path) as beside:
        beside.write_text("new")
        assert (path.read_text(), synced) == ("old", [])
    assert synced == [f"a.json.{os.getpid()}.partial", "."]
    assert [file.read_text() for file in tmp_path.iterdir()] == ["new"]
    disk.write_whole(path, b"newer")
    assert [file.read_text() for file in tmp_path.iterdir()] == ["newer"]


def test_every_file_of_a_folder_is_waited_for(tmp_path: Path, synced: list[str]) -> None:
    with disk.replacing(tmp_path / "key") as beside:
        (beside / "below").mkdir(parents=True)
        for name in ("one", "below/two"):
            (beside / name).write_text(name)
    folder = f"key.{os.getpid()}.partial"
    assert sorted(synced[:2]) == [f"{folder}/below/two", f"{folder}/one"]
    assert synced[2:] == ["."]
    assert (tmp_path / "key" / "below" / "two").read_text() == "below/two"


@pytest.mark.parametrize("kind", ["file", "folder", "nothing"])
def test_what_fails_leaves_what_was_there(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "a"
    if kind == "file":
        path.write_text("old")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(KeyboardInterrupt), disk.replacing(path) as beside:
        if kind == "folder":
            (beside / "below").mkdir(parents=True)
        elif kind == "file":
            beside.write_text("new")
        raise KeyboardInterrupt
    assert sorted(tmp_path.iterdir()) == before
    if kind == "file":
        assert path.read_text() == "old"


@pytest.mark.parametrize(("number", "passes"), [(errno.EINVAL, True), (errno.EIO, False)])
def test_a_file_system_that_cannot_wait_for_folders_will_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, passes: bool
) -> None:
    def fsync(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink() == tmp_path:
            raise OSError(number, "no")

    monkeypatch.setattr(os, "fsync", fsync)
    if passes:
        disk.write_whole(tmp_path / "a", b"x")
    else:
        with pytest.raises(OSError, match="no"):
            disk.write_whole(tmp_path / "a", b"x")
    assert (tmp_path / "a").read_bytes() == b"x"


def test_what_went_wrong_is_told_also_where_nothing_can_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object, **named: object) -> None:
        raise PermissionError("no")

    monkeypatch.setattr(Path, "unlink", refuse)
    with pytest.raises(KeyboardInterrupt), disk.replacing(tmp_path / "a") as beside:
        beside.write_text("new")
        raise KeyboardInterrupt


def test_a_file_with_a_folders_pattern_in_its_name_is_a_file(
    tmp_path: Path, synced: list[str]
) -> None:
    disk.write_whole(tmp_path / "[ab]*", b"x")
    assert synced == [f"[ab]*.{os.getpid()}.partial", "."]
