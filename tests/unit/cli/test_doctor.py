"""`perfsuite doctor` on an engine that is installed: what it sees of a small ONNX file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from onnx_net import save, weights

from perfsuite.cli import main


def test_an_onnx_file_on_an_engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "net.onnx", weights())
    words = ["doctor", "net.onnx", "--runtime", "onnxruntime", "-o", "out", "--json"]
    done = CliRunner().invoke(main, words, catch_exceptions=False)
    found = json.loads(done.stdout)
    (cell,) = found["cells"]
    assert (cell["status"], cell["problem"]) == ("ok", "")
    libraries = {one["name"]: one["status"] for one in found["libraries"]}
    assert libraries["ONNX Runtime"] != "absent"
    assert libraries["OpenVINO"] == "absent", "no process has loaded it"
    # Importing the engine starts a thread that computes nothing.
    assert "too-many-threads" not in {one["name"] for one in found["findings"]}
