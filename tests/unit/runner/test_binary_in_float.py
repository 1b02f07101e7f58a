"""Binary convolutions that an engine with kernels for bits computes in float are never plain ok."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from binary_graphs import SAME, Chain
from fake_runs import here

from perfsuite import api
from perfsuite.domain.record import SIMULATED, Record
from perfsuite.export.binary_operator import ConvGeometry
from perfsuite.runner import schedule

WIDE = ConvGeometry((1, 33), pads=(0, 16, 0, 16))  # more taps in a row than perfsuite-binary counts
TWELVE = ConvGeometry((3, 3), pads=(1, 1, 1, 1), group=2)  # channels of a group: no whole bytes
SUITE = """
workloads = ["net.onnx"]
runtimes  = ["{runtime}"]
threads   = 1
processes = 1
measure   = {{ calls = 5, seconds = 0.0, warmup_seconds = 0.0 }}
"""


def record_of(
    runtime: str, odd: ConvGeometry, plain: bool, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> Record:
    """Run a net with an odd binary convolution and, if asked for, a plain one before it."""
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setenv("PERFSUITE_HOME", str(folder / "home"))
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    net = Chain((24, 8, 8))
    if plain:
        net.binary(24, SAME)
        net.norm()
    net.binary(24, odd)
    onnx.save(net.head(5), folder / "net.onnx")
    (folder / "suite.toml").write_text(SUITE.format(runtime=runtime))
    run = api.run(folder / "suite.toml", folder / "run")[1]
    (record,) = run.records.values()
    return record


@pytest.mark.parametrize(("runtime", "odd"), [("perfsuite-binary", WIDE), ("openvino", TWELVE)])
def test_where_some_are_the_cell_is_simulated(
    runtime: str, odd: ConvGeometry, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("numba" if runtime == "perfsuite-binary" else runtime)
    record = record_of(runtime, odd, True, tmp_path, monkeypatch)
    assert record.status == "ok", record.error
    assert SIMULATED in record.labels
    assert record.evidence is not None
    (found,) = (one for one in record.evidence.findings if one.name == "binary-in-float")
    assert found.message.endswith("BinaryConv2")


def test_where_all_are_it_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino")
    record = record_of("openvino", TWELVE, False, tmp_path, monkeypatch)
    assert record.status == "failed" and record.error is not None
    assert record.error.kind == "SilentFallback"
    assert "no binary kernel ran: BinaryConv0 computed in float" in record.error.message
