"""Every net of the table of odd ones answers on both engines as it does in PyTorch."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("torch")

from odd_builds import prepared
from odd_nets import NETS

pytestmark = pytest.mark.verify


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
@pytest.mark.parametrize("name", NETS)
def test_it_runs_in_both_engines(
    name: str, runtime: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip(runtime)
    line = prepared(name, runtime, tmp_path, monkeypatch)
    assert line.status == "ok"
    assert max(line.parity.values()) < 1e-4
