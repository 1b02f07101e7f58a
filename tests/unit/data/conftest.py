"""Tiny archives of CIFAR-10, served on this machine."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tiny_archives import (
    CONTENT,
    RNG,
    Server,
    know,
    npm_members,
    official_members,
    tar_of,
)

from perfsuite.data import cifar10


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    threading.Thread(target=made.http.serve_forever, args=(0.01,), daemon=True).start()
    yield made
    made.http.shutdown()
    made.http.server_close()


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: Server) -> Path:
    """Tiny archives of both forms in a folder, known to the module; neither has an address yet."""
    folder = tmp_path / "archives"
    folder.mkdir()
    tar_of(folder / "npm.tgz", npm_members(RNG.permutation(10)))
    tar_of(folder / "official.tar.gz", official_members())
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(cifar10, "HELD_OUT", 3)
    monkeypatch.setattr(cifar10, "SHAPES", {stem: a.shape for stem, a in CONTENT.items()})
    digests = {stem: hashlib.sha256(a.tobytes()).hexdigest() for stem, a in CONTENT.items()}
    monkeypatch.setattr(cifar10, "DIGESTS", digests)
    know(monkeypatch, folder, server)
    return folder
