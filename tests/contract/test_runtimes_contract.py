"""What every engine of the table must do, on a small net; and what an artifact must not need."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from binary_graphs import make_binary

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, Runtime, SessionOptions, Variant
from perfsuite.errors import SchemaError, Unavailable, Unsupported
from perfsuite.export.onnx import export_graph
from perfsuite.export.parity import parity
from perfsuite.runtimes.shared.precision import check_precision, compute_precisions
from perfsuite.runtimes.table import RUNTIMES

SPEC = (InputSpec("image", "float32", ("batch", 3, 8, 8)),)
OF_BITS = ("perfsuite-binary",)  # engines that take no net without a binary convolution


def build_net() -> Any:
    """Return the net whose second convolution is binary for the engines `OF_BITS`."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, padding=1, bias=False),
        nn.Flatten(),
        nn.Linear(256, 5),
    )
    nn.init.uniform_(module[1].running_var, 0.5, 2.0)
    nn.init.normal_(module[1].running_mean)
    return module.eval()


def build_binary_net() -> Any:
    """Return the net as the engines `OF_BITS` compute it."""
    import torch
    from torch import nn

    class Signs(nn.Module):
        def __init__(self, layer: Any) -> None:
            super().__init__()
            self.weight = layer.weight.detach()

        def forward(self, x: Any) -> Any:
            signs = torch.where(x >= 0, 1.0, -1.0)
            weights = torch.where(self.weight >= 0, 1.0, -1.0)
            scale = self.weight.abs().mean(dim=(1, 2, 3))
            sums = nn.functional.conv2d(signs, weights, padding=1)
            return sums * scale[:, None, None]

    net = build_net()
    net[4] = Signs(net[4])
    return net


def pictures(batch: int) -> dict[str, np.ndarray]:
    return {"image": np.random.default_rng(batch).normal(size=(batch, 3, 8, 8)).astype(np.float32)}


def device_of(runtime: Runtime) -> str:
    return "cpu" if "cpu" in runtime.devices else runtime.devices[0]


def skip_unless_here(runtime: Runtime) -> None:
    """Skip the test, with the reason, where the engine or its device is not on this machine."""
    try:
        runtime.probe()
        if (require := getattr(runtime, "require", None)) is not None:
            require(device_of(runtime), "fp32")
    except Unavailable as error:
        pytest.skip(str(error).partition("\n")[0])


def manifest_of(runtime: Runtime) -> Manifest:
    return Manifest(runtime.name, device_of(runtime), "fp32", 1, SPEC, ("logits",), False, False)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graph") / "graph.onnx"
    export_graph(build_net(), SPEC, pictures(2), path)
    return path


def of_bits(graph: Path, path: Path) -> Path:
    """Write the graph with its second convolution binary."""
    import onnx

    model = onnx.load(graph)
    convolutions = [node.name for node in model.graph.node if node.op_type == "Conv"]
    make_binary(model, convolutions[1])
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module", params=sorted(RUNTIMES))
def built(
    request: pytest.FixtureRequest, graph: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Runtime, Manifest, Path]]:
    runtime = RUNTIMES[request.param]()
    skip_unless_here(runtime)
    folder = tmp_path_factory.mktemp(runtime.name)
    manifest = manifest_of(runtime)
    if runtime.name in OF_BITS:
        graph = of_bits(graph, folder.parent / "of-bits.onnx")
    variant = Variant(graph, build_net, quantized=False, example=pictures(1))
    runtime.build(variant, manifest, folder)
    stored = msgspec.json.decode(msgspec.json.encode(manifest), type=Manifest)
    assert stored == manifest
    yield runtime, stored, folder


def options(runtime: Runtime, batch: int, *, inspect: bool = False) -> SessionOptions:
    return SessionOptions(batch, 1, inspect, build_net if runtime.takes == "module" else None)


def test_it_is_named_as_in_the_table_and_says_its_version() -> None:
    for name, make in RUNTIMES.items():
        runtime = make()
        assert runtime.name == name
        try:
            assert all(runtime.probe().values())
        except Unavailable as error:
            assert "pip install" in str(error)


@pytest.mark.parametrize("batch", [1, 4])
def test_it_answers_as_eager_does(built: tuple[Runtime, Manifest, Path], batch: int) -> None:
    import torch

    runtime, manifest, folder = built
    inputs = pictures(batch)
    with runtime.open(folder, manifest, options(runtime, batch)) as session:
        outputs = session.run(inputs)
        kept = [output.copy() for output in outputs]
        session.run({"image": inputs["image"] * -2})
    if runtime.name == "fake":
        assert outputs[0].shape == (batch, 5)
        return
    assert all(np.array_equal(a, b) for a, b in zip(outputs, kept, strict=True)), "overwritten"
    net = build_binary_net() if runtime.name in OF_BITS else build_net()
    with torch.inference_mode():
        reference = net(torch.from_numpy(inputs["image"])).numpy()
    assert parity([reference], outputs, ["logits"], "fp32")["logits"] <= 1e-4


def test_evidence_counts_kernels_and_closing_twice_is_harmless(
    built: tuple[Runtime, Manifest, Path],
) -> None:
    runtime, manifest, folder = built
    session = runtime.open(folder, manifest, options(runtime, 1, inspect=True))
    with session:
        session.run(pictures(1))
        evidence = session.evidence()
        assert session.evidence() == evidence
    session.__exit__(None, None, None)
    check_precision(evidence, manifest)
    expected = {"fp32": 1} if runtime.name == "fake" else {"fp32": 3}  # two convolutions, a Gemm
    if runtime.name in OF_BITS:
        expected = {"binary": 1, "fp32": 2}
    assert compute_precisions(evidence.kernels) == expected
    caches = [
        item.value for item in evidence.items if item.about == "compiler" and item.name == "cache"
    ]
    assert all(value.startswith("hit: ") for value in caches), "opening compiled something anew"
    threads = {item.value for item in evidence.items if item.about == "threads"}
    assert threads == {"1"}


def test_a_missing_or_corrupt_file_is_named(
    built: tuple[Runtime, Manifest, Path], tmp_path: Path
) -> None:
    runtime, manifest, folder = built
    with pytest.raises(SchemaError, match="build the artifact again"):
        runtime.open(tmp_path, manifest, options(runtime, 1))
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(b"\x01not a model" * 3)
    with pytest.raises(SchemaError, match=str(tmp_path)):
        runtime.open(tmp_path, manifest, options(runtime, 1))


def test_a_fixed_batch_is_unsupported(built: tuple[Runtime, Manifest, Path]) -> None:
    runtime, manifest, folder = built
    if runtime.takes == "module":
        pytest.skip("a module takes any batch")
    fixed = msgspec.structs.replace(manifest, inputs=(InputSpec("image", "float32", (2, 3, 8, 8)),))
    with pytest.raises(Unsupported, match=r"fixed to 2.* in a suite batches = \[2\]"):
        runtime.open(folder, fixed, options(runtime, 1))


@pytest.mark.parametrize("name", [n for n, make in RUNTIMES.items() if make().takes == "graph"])
def test_a_missing_operator_is_unsupported(name: str, tmp_path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper

    value = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 3]) for n in "xy"]
    node = helper.make_node("Frobnicate", ["x"], ["y"], domain="com.example")
    model = helper.make_model(
        helper.make_graph([node], "g", value[:1], value[1:]),
        opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)],
        ir_version=10,
    )
    onnx.save(model, tmp_path / "odd.onnx")
    runtime = RUNTIMES[name]()
    skip_unless_here(runtime)
    (tmp_path / "out").mkdir()
    with pytest.raises(Unsupported, match=r"Frobnicate.*odd\.onnx"):
        runtime.build(
            Variant(tmp_path / "odd.onnx", None, False), manifest_of(runtime), tmp_path / "out"
        )
    assert list((tmp_path / "out").iterdir()) == []


def test_artifacts_of_graph_engines_open_without_torch(
    built: tuple[Runtime, Manifest, Path], tmp_path: Path
) -> None:
    runtime, manifest, folder = built
    if runtime.takes == "module":
        pytest.skip("takes the module")
    (tmp_path / "manifest.json").write_bytes(msgspec.json.encode(manifest))
    program = """
import sys, pathlib, msgspec, numpy
from perfsuite.domain.runtime import Manifest, SessionOptions
from perfsuite.runtimes.table import RUNTIMES
manifest = msgspec.json.decode(pathlib.Path(sys.argv[2]).read_bytes(), type=Manifest)
runtime = RUNTIMES[manifest.runtime]()
options = SessionOptions(1, 1)
with runtime.open(pathlib.Path(sys.argv[1]), manifest, options) as session:
    outputs = session.run({"image": numpy.zeros((1, 3, 8, 8), numpy.float32)})
    session.evidence()
loaded = [name for name in ("torch", "onnx", "torchvision") if name in sys.modules]
print(outputs[0].shape, loaded)
"""
    command = [sys.executable, "-c", program, str(folder), str(tmp_path / "manifest.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "(1, 5) []", done.stderr
