"""TensorRT and TensorRT for RTX on a card; skipped where one of them or the card is missing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.domain.task import Inputs
from perfsuite.errors import SchemaError, Unavailable
from perfsuite.export.onnx import export_graph, graph_spec, load_graph
from perfsuite.export.parity import parity
from perfsuite.passes.int8.int8 import Int8
from perfsuite.runner.build.reference import module_outputs
from perfsuite.runtimes.shared.precision import check_precision, compute_precisions
from perfsuite.runtimes.table import RUNTIMES
from perfsuite.runtimes.tensorrt.built import BUILT

pytestmark = pytest.mark.gpu

SPEC = (InputSpec("x", "float32", ("batch", 64, 32, 32)),)
OUTPUTS = ("y",)


@pytest.fixture(params=["tensorrt", "tensorrt-rtx"])
def runtime(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    found = RUNTIMES[request.param]()
    try:
        found.probe()
        found.require("cuda", "fp32")
    except Unavailable as error:
        pytest.skip(str(error).partition("\n")[0])
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    return found


def net() -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(64, 64, 3),
        nn.ReLU(), nn.Flatten(), nn.Linear(64 * 14 * 14, 10),
    ).eval()  # fmt: skip


def given(batch: int, seed: int = 0) -> Inputs:
    rng = np.random.default_rng([batch, seed])
    return {"x": rng.normal(size=(batch, 64, 32, 32)).astype(np.float32)}


def rounded(runtime: Any, graph: onnx.ModelProto, folder: Path) -> onnx.ModelProto:
    target = Target(runtime.name, "cuda", quantized=runtime.quantized_graphs("cuda"))
    context: Any = PassContext(
        inputs=given(2),
        calibration=lambda samples: iter([given(samples)]),
        train=lambda: None,  # type: ignore[arg-type, return-value]
        target=target,
        checkpoint=folder / "checkpoint",
        progress=lambda done, total: None,
        latency_s=lambda *_: 0.0,
    )
    return Int8(calibration_samples=8).apply(graph, context)


def opened(
    runtime: Any, folder: Path, precision: str, batch: int = 2, *, int8: bool = False, **more: Any
) -> Any:
    """Return a session of the net; skip where the card has no such precision."""
    try:
        runtime.require("cuda", precision)
    except Unavailable as error:
        pytest.skip(str(error))
    manifest = built(runtime, folder, precision, int8)
    return runtime.open(folder / "artifact", manifest, SessionOptions(batch, 1, **more))


def built(
    runtime: Any, folder: Path, precision: str, int8: bool = False, device: str = "cuda"
) -> Manifest:
    """Return the manifest of the net, after it was built, unless it has been before."""
    file, artifact = folder / "net.onnx", folder / "artifact"
    if not file.exists():
        export_graph(net(), SPEC, given(2), file)
        if int8:
            onnx.save(rounded(runtime, load_graph(file), folder), file)
    spec, names = graph_spec(load_graph(file))
    manifest = Manifest(runtime.name, device, precision, 2, spec, names, int8, int8)
    if not artifact.exists():
        artifact.mkdir()
        runtime.build(Variant(file, None, int8), manifest, artifact)
    return manifest


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16"])
def test_it_answers_as_eager_does_in_every_batch(
    runtime: Any, tmp_path: Path, precision: str
) -> None:
    with opened(runtime, tmp_path, precision) as session:
        for batch in (2, 1, 5, 64, 2):
            expected = module_outputs(net(), given(batch))
            parity(expected, session.run(given(batch)), OUTPUTS, precision)


@pytest.mark.parametrize("precision", ["fp32", "fp16"])
def test_int8_is_proven_by_the_layers_that_ran(
    runtime: Any, tmp_path: Path, precision: str
) -> None:
    with opened(runtime, tmp_path, precision, int8=True, inspect=True) as session:
        answer = session.run(given(2))[0]
        evidence = session.evidence()
    manifest = Manifest(runtime.name, "cuda", precision, 2, SPEC, OUTPUTS, True, True)
    check_precision(evidence, manifest)
    assert compute_precisions(evidence.kernels)["int8"] == 3
    expected = module_outputs(net(), given(2))[0]
    assert np.corrcoef(answer.ravel(), expected.ravel())[0, 1] > 0.99


def test_layers_belong_to_nodes_and_fill_no_more_than_the_call(
    runtime: Any, tmp_path: Path
) -> None:
    with opened(runtime, tmp_path, "fp16", inspect=True) as session:
        session.run(given(2))
        found = session.profile([given(2), given(2, 1)], 4)
    origins = {origin for kernel in found.kernels for origin in kernel.origins}
    assert {"0/Conv", "3/Conv", "6/Gemm"} <= origins
    for call, wall_s in enumerate(found.walls_s):
        assert 0 < sum(kernel.times_s[call] for kernel in found.kernels) < wall_s


def test_calls_with_bound_buffers_are_timed_by_both_clocks(runtime: Any, tmp_path: Path) -> None:
    with opened(runtime, tmp_path, "fp16") as session:
        found = session.time_bound([given(2), given(2, 1)], 6, 0.0)
    assert all(0 < device < host for device, host in zip(found.device_s, found.host_s, strict=True))


def test_what_was_learnt_is_kept(runtime: Any, tmp_path: Path) -> None:
    with opened(runtime, tmp_path, "fp16") as session:
        session.run(given(2))
    (kept,) = (tmp_path / "home" / "tensorrt").glob("*-*")
    assert kept.stat().st_size > 0
    with opened(runtime, tmp_path, "fp16") as session:
        session.run(given(2))


def test_an_engine_for_another_card_is_told(runtime: Any, tmp_path: Path) -> None:
    opened(runtime, tmp_path, "fp32").close()
    file = tmp_path / "artifact" / BUILT
    file.write_text(json.dumps({**json.loads(file.read_text()), "capability": "sm_75"}))
    with pytest.raises(SchemaError, match="built for a card with sm_75"):
        opened(runtime, tmp_path, "fp32")
