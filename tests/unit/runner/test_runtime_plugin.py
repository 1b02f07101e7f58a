"""A runtime of a user's own, in one file, that says how it wants quantized graphs, gets them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from fake_runs import here
from onnx import TensorProto
from onnx_net import SIDE, expected, save, weights

from perfsuite import api
from perfsuite.domain.record import Record
from perfsuite.runner import schedule
from perfsuite.store.cache import Cache

pytest.importorskip("onnxruntime")

# Runs graphs by ONNX Runtime, and takes what follows a DequantizeLinear for 8-bit arithmetic.
ENGINE = """
from collections import Counter
from importlib.metadata import version

import onnx
import onnxruntime as ort

from perfsuite import DeviceIdentity, Evidence, QuantizedGraphs


class Silent:
    name = "silent"
    takes = "graph"
    devices = ("cpu",)
    precisions = ("fp32",)

    def probe(self):
        return {"onnxruntime": version("onnxruntime")}

    def build(self, variant, manifest, folder):
        (folder / "net.onnx").write_bytes(variant.graph.read_bytes())

    def open(self, folder, manifest, options):
        return Session(folder / "net.onnx")


class Unsigned(Silent):
    name = "unsigned"

    def quantized_graphs(self, device):
        return QuantizedGraphs("uint8", sum_in_accumulator=False, weight_bits=7)


class Signed(Silent):
    name = "signed"

    def quantized_graphs(self, device):
        return QuantizedGraphs("int8")


class Wrong(Silent):
    name = "wrong"

    def quantized_graphs(self, device):
        return "uint8"


class Shut(Silent):
    name = "shut"

    def open(self, folder, manifest, options):
        from perfsuite.errors import SchemaError

        raise SchemaError("build the artifact again") from RuntimeError("no kernel for f64")


class Session:
    clock = None

    def __init__(self, path):
        self.session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        self.graph = onnx.load(path).graph

    def run(self, inputs):
        return self.session.run(None, inputs)

    def evidence(self):
        given = {value: node.op_type for node in self.graph.node for value in node.output}
        ran = Counter(
            f"{node.op_type} {'int8' if given.get(node.input[0], '').startswith('Deq') else 'fp32'}"
            for node in self.graph.node
        )
        return Evidence((), dict(ran))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass
"""
FLUSH = """
from typing import ClassVar

import msgspec
import onnx


class Copy(msgspec.Struct, frozen=True):
    version: ClassVar[int] = 1

    def resolve(self, target):
        return ""

    def apply(self, graph, ctx):
        copy = onnx.ModelProto()
        copy.CopyFrom(graph)
        return copy


class Named(Copy, frozen=True):
    runtimes: ClassVar[tuple[str, ...]] = ("signed",)
"""
SUITE = """
workloads = ["net.onnx"]
runtimes  = ["engine.py:%s"]
samples   = { net = "samples.npz" }
threads   = 1
processes = 1
measure   = { calls = 3, seconds = 0.0, warmup_seconds = 0.0 }

[[recipes]]
name   = "int8"
passes = [{ use = "int8", calibration_samples = 16 }]

[[recipes]]
name   = "copy"
passes = [{ use = "passes.py:Copy" }]

[[recipes]]
name   = "named"
passes = [{ use = "passes.py:Named" }]
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))
    (tmp_path / "engine.py").write_text(ENGINE)
    (tmp_path / "passes.py").write_text(FLUSH)
    save(tmp_path / "net.onnx", weights())
    x = np.random.default_rng(1).normal(size=(80, 3, SIDE, SIDE)).astype(np.float32)
    labels = expected(x, weights()).argmax(axis=1)
    np.savez(tmp_path / "samples.npz", x=x, labels=labels)
    return tmp_path


def records(folder: Path, engine: str) -> dict[str, Record]:
    """Return the records of a suite on one engine, by recipe."""
    (folder / "suite.toml").write_text(SUITE % engine)
    found = api.run(folder / "suite.toml", folder / engine)[1]
    return {record.cell.recipe: record for record in found.records.values()}


def graph(record: Record) -> onnx.ModelProto:
    """Return the graph that the engine was given."""
    artifact = Cache().get("artifact", record.artifact)
    assert artifact is not None
    return onnx.load(artifact / "net.onnx")


@pytest.mark.parametrize(
    ("engine", "activations", "limit"),
    [("Unsigned", TensorProto.UINT8, 63), ("Signed", TensorProto.INT8, 127)],
)
def test_it_gets_int8_as_it_wants_it(
    folder: Path, engine: str, activations: int, limit: int
) -> None:
    found = records(folder, engine)
    for recipe in ("fp32", "int8", "copy"):
        assert found[recipe].error is None
        assert len(found[recipe].latencies_s[0]) == 3, "measured"
        assert found[recipe].accuracy is not None, "evaluated"
    accuracy, evidence = found["int8"].accuracy, found["int8"].evidence
    assert accuracy is not None and accuracy.value > 0.8
    assert evidence is not None and "Conv int8" in evidence.kernels, "inspected"
    model = graph(found["int8"])
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    rounded = [node for node in model.graph.node if node.op_type == "QuantizeLinear"]
    assert {constants[node.input[2]].data_type for node in rounded} == {activations}
    weight_bytes = [t for t in constants.values() if t.data_type == TensorProto.INT8 and t.dims]
    largest = [np.abs(onnx.numpy_helper.to_array(t).astype(int)).max() for t in weight_bytes]
    assert max(largest) == limit


def test_one_that_does_not_say_so_is_told_how_to(folder: Path) -> None:
    found = records(folder, "Silent")
    error = found["int8"].error
    assert found["int8"].status == "unsupported" and error is not None
    assert error.message == (
        "int8: silent runs no quantized graphs on cpu; an engine that does says how it wants them: "
        "give the runtime a method quantized_graphs(device) that returns a "
        "perfsuite.QuantizedGraphs"
    )
    assert found["copy"].status == "ok", "other graph passes go on working"


def test_another_answer_is_refused(folder: Path) -> None:
    error = records(folder, "Wrong")["int8"].error
    assert error is not None
    assert error.message == (
        "wrong: its quantized_graphs('cpu') must give a perfsuite.QuantizedGraphs, or None, not str"
    )


def test_a_pass_may_still_name_the_engines_that_have_its_kernels(folder: Path) -> None:
    error = records(folder, "Unsigned")["named"].error
    assert error is not None
    assert error.message.endswith("this engine has no kernel for it; signed have")


def test_what_an_engine_builds_and_cannot_open_is_not_called_damaged(folder: Path) -> None:
    error = records(folder, "Shut")["fp32"].error
    assert error is not None
    assert (error.kind, error.message) == (
        "BuildError",
        "shut took the model and cannot run it (no kernel for f64); take another engine, or "
        "another version of it",
    )
