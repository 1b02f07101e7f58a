"""The cache: built once, whole or not at all, one builder at a time."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from perfsuite.errors import ConfigError, PerfsuiteError
from perfsuite.store.cache import Cache, NotCached, key_of


def write_it(folder: Path, text: str) -> None:
    (folder / "sub").mkdir()
    (folder / "it").write_text(text)


def test_a_key_is_what_its_docstring_says() -> None:
    inner = hashlib.sha256(b"ab").digest()
    assert key_of("ab") == hashlib.sha256(b"text" + inner).hexdigest()
    assert key_of(b"ab") == hashlib.sha256(b"data" + inner).hexdigest()


def test_keys_do_not_run_together() -> None:
    parts = [("ab", "c"), ("a", "bc"), ("abc",), ("abc", ""), (), ("",), (b"abc",), (b"ab", "c")]
    assert len({key_of(*some) for some in parts}) == len(parts)


def test_a_path_stands_for_its_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_bytes(b"weights")
    two.write_bytes(b"weights")
    assert key_of(one) == key_of(two) == key_of(b"weights")
    two.write_bytes(b"weightz")
    assert key_of(one) != key_of(two)
    with pytest.raises(ConfigError, match="none: cannot be read"):
        key_of(tmp_path / "none")


def test_any_text_has_a_key() -> None:
    """File names that are no UTF-8 come as lone surrogates."""
    assert key_of("\udc80") != key_of("\udc81")


def test_it_is_built_once(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "c")
    assert cache.get("artifact", "k") is None
    path, made = cache.build("artifact", "k", lambda folder: write_it(folder, "1"))
    assert made and (path / "it").read_text() == "1"
    assert cache.build("artifact", "k", lambda folder: pytest.fail("made again")) == (path, False)
    assert cache.get("artifact", "k") == path
    assert cache.get("rows", "k") is None


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt()])
def test_what_fails_is_not_cached(tmp_path: Path, error: BaseException) -> None:
    cache = Cache(tmp_path)

    def make(folder: Path) -> None:
        write_it(folder, "half")
        raise error

    with pytest.raises(type(error)):
        cache.build("artifact", "k", make)
    assert cache.get("artifact", "k") is None
    assert [path for path in tmp_path.rglob("*") if path.suffix != ".lock"] == [
        tmp_path / "artifact"
    ]
    assert cache.build("artifact", "k", lambda folder: write_it(folder, "1"))[1]


def test_a_full_disk_says_so(tmp_path: Path) -> None:
    def make(folder: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(PerfsuiteError, match=r"artifact/k: the disk is full.*PERFSUITE_HOME"):
        Cache(tmp_path).build("artifact", "k", make)


def test_a_folder_that_make_has_removed_is_told_as_its_error(tmp_path: Path) -> None:
    """Cleaning up must not hide what went wrong."""

    def make(folder: Path) -> None:
        folder.rmdir()
        raise ValueError("bad")

    with pytest.raises(ValueError, match="bad"):
        Cache(tmp_path).build("artifact", "k", make)


def test_it_has_its_name_only_when_it_is_on_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder under its key is taken for whole, also after the power has failed."""
    synced: list[Path] = []

    def fsync(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink())

    monkeypatch.setattr(os, "fsync", fsync)
    path, _ = Cache(tmp_path).build("artifact", "k", lambda folder: write_it(folder, "1"))
    beside = path.with_name(f"k.{os.getpid()}.partial")
    assert beside / "it" in synced  # before it was renamed


def test_what_another_process_made_meanwhile_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Made between the first look and the lock."""
    cache = Cache(tmp_path)

    @contextmanager
    def late(folder: Path, name: str) -> Iterator[None]:
        write = folder / "k"
        write.mkdir(parents=True)
        (write / "it").write_text("theirs")
        yield

    monkeypatch.setattr("perfsuite.store.cache.locked", late)
    path, made = cache.build("artifact", "k", lambda folder: pytest.fail("made again"))
    assert not made and (path / "it").read_text() == "theirs"


def test_what_cannot_be_removed_is_left_for_another_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path, ignore_errors: bool = False) -> None:
        if not ignore_errors:
            raise PermissionError(path)

    for left in ("a.partial", "b.4711.partial", "k.4711.partial"):
        (tmp_path / "artifact" / left).mkdir(parents=True)
    monkeypatch.setattr(shutil, "rmtree", refuse)
    assert Cache(tmp_path).build("artifact", "k", lambda folder: write_it(folder, "1"))[1]


def test_what_is_there_is_found_without_its_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = Cache(tmp_path)
    cache.build("artifact", "k", lambda folder: None)
    monkeypatch.setattr("perfsuite.store.cache.locked", lambda folder, name: pytest.fail("waits"))
    assert cache.build("artifact", "k", lambda folder: None) == (tmp_path / "artifact" / "k", False)


def test_another_os_error_of_make_goes_on_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Cache(tmp_path).build("artifact", "k", lambda folder: (folder / "x").unlink())


def test_a_root_that_cannot_be_written_names_the_variable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"file/cache.*PERFSUITE_HOME"):
        Cache().build("artifact", "k", lambda folder: None)


CHILD = """
import sys, time
from pathlib import Path
from perfsuite.store.cache import Cache
root, key, act = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
def make(folder):
    (folder / "it").write_text(act)
    (root / "started").write_text("")
    while act == "hang" or not (root / "go").exists():
        time.sleep(0.01)
print(Cache(root).build("artifact", key, make)[1])
"""


def child(root: Path, key: str, act: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", CHILD, str(root), key, act]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    while not (root / "started").exists():
        assert process.poll() is None
        time.sleep(0.01)
    return process


def test_another_process_waits_and_uses_what_was_made(tmp_path: Path) -> None:
    first = child(tmp_path, "k", "wait")
    second = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path), "k", "second"],
        stdout=subprocess.PIPE,
        text=True,
    )
    # An unrelated build neither waits for the first nor takes its half-made folder away, and
    # clears what dead ones have left all the same, whichever it meets first.
    left = [tmp_path / "artifact" / f"{name}.1.partial" for name in ("a", "m", "other", "z")]
    for folder in left:
        folder.mkdir()
    assert Cache(tmp_path).build("artifact", "other", lambda folder: None)[1]
    assert list((tmp_path / "artifact").glob("k.*.partial"))
    assert not any(folder.exists() for folder in left)
    (tmp_path / "go").write_text("")
    assert {first.communicate()[0].strip(), second.communicate()[0].strip()} == {"True", "False"}
    assert (tmp_path / "artifact" / "k" / "it").read_text() == "wait"


@pytest.mark.parametrize("key", ["k", "other"])
def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path, key: str) -> None:
    killed = child(tmp_path, "k", "hang")
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert list((tmp_path / "artifact").glob("k.*.partial/it"))
    cache = Cache(tmp_path)
    assert cache.get("artifact", "k") is None
    path, made = cache.build("artifact", key, lambda folder: None)
    assert made and list(path.iterdir()) == []
    assert list(tmp_path.rglob("*.partial")) == []


def test_into_a_sealed_cache_nothing_is_built(tmp_path: Path) -> None:
    sealed = Cache(tmp_path, sealed=True)
    with pytest.raises(NotCached, match="no kind abc in the cache"):
        sealed.build("kind", "abc", lambda folder: write_it(folder, "one"))
    assert not list(tmp_path.iterdir())
    made, _ = Cache(tmp_path).build("kind", "abc", lambda folder: write_it(folder, "one"))
    assert sealed.build("kind", "abc", lambda folder: write_it(folder, "two")) == (made, False)


def test_what_ships_is_found_where_the_cache_lacks_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "shipped/edits/k"
    shipped.mkdir(parents=True)
    monkeypatch.setattr("perfsuite.store.cache.SHIPPED", tmp_path / "shipped")
    sealed = Cache(tmp_path / "cache", sealed=True)
    assert sealed.build("edits", "k", lambda folder: None) == (shipped, False)
    own = tmp_path / "cache/edits/k"
    own.mkdir(parents=True)
    assert sealed.get("edits", "k") == own
