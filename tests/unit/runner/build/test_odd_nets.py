"""Modules of many families work on an engine; the others of the table are in tests/verify."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

from odd_builds import prepared
from odd_nets import NETS

FAST = ("in place", "masks")


@pytest.mark.parametrize("name", NETS)
def test_it_runs_in_pytorch(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = prepared(name, "pytorch", tmp_path, monkeypatch)
    assert line.status == "ok"
    assert set(line.parity.values()) <= {0.0}, "it answers as it does when it is called"


@pytest.mark.parametrize("name", FAST)
def test_it_runs_in_an_engine(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    line = prepared(name, "onnxruntime", tmp_path, monkeypatch)
    assert line.status == "ok"
    assert max(line.parity.values()) < 1e-4
