"""What the engines beside eager PyTorch show on a card alone; skipped where there is none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.errors import Unavailable, Unsupported
from perfsuite.export.onnx import export_graph
from perfsuite.runtimes.onnxruntime.cuda import OnnxRuntimeCuda
from perfsuite.runtimes.pytorch.cuda_graphs import PyTorchCudaGraphs
from perfsuite.runtimes.pytorch.runtime import PyTorch
from perfsuite.runtimes.shared.cuda_driver import Driver
from perfsuite.runtimes.torch_compile.runtime import TorchCompile

pytestmark = pytest.mark.gpu

SPEC = (InputSpec("x", "float32", ("batch", 64, 28, 28)),)


def net() -> Any:
    import torch
    from torch import nn

    torch.manual_seed(0)
    # In fp32 a batch norm on a card bears so many samples and no more.
    layers = (nn.Conv2d(64, 64, 3), nn.ReLU(), nn.Conv2d(64, 64, 3), nn.BatchNorm2d(64))
    return nn.Sequential(*layers).eval()


def pictures(batch: int = 2, seed: int = 0) -> dict[str, np.ndarray]:
    values = np.random.default_rng(seed).normal(size=(batch, 64, 28, 28))
    return {"x": values.astype(np.float32)}


def opened(runtime: Any, folder: Path, *, inspect: bool = False) -> Any:
    """Return a session of the net; skip where the engine or a card is missing."""
    try:
        runtime.require("cuda", "fp32")
    except Unavailable as error:
        pytest.skip(str(error).partition("\n")[0])
    manifest = Manifest(runtime.name, "cuda", "fp32", 2, SPEC, ("y",), False, False)
    graph = None
    if runtime.takes == "graph":
        graph = folder / "graph.onnx"
        export_graph(net(), SPEC, pictures(), graph)
    artifact = folder / "artifact"
    if not artifact.exists():
        artifact.mkdir()
        runtime.build(Variant(graph, net, False, example=pictures()), manifest, artifact)
    return runtime.open(artifact, manifest, SessionOptions(2, 1, inspect, net))


@pytest.mark.parametrize("runtime", [OnnxRuntimeCuda(), PyTorchCudaGraphs(), TorchCompile()])
def test_calls_with_bound_buffers_are_timed_by_both_clocks(runtime: Any, tmp_path: Path) -> None:
    with opened(runtime, tmp_path) as session:
        found = session.time_bound([pictures(), pictures(seed=1)], 5, 0.0)
    assert found is not None
    assert len(found.device_s) == len(found.host_s) == 5
    assert all(0 < one < other for one, other in zip(found.device_s, found.host_s, strict=True))


def test_the_driver_says_of_the_card_what_torch_says() -> None:
    try:
        identity = PyTorch().identify("cuda")
    except Unavailable as error:
        pytest.skip(str(error).partition("\n")[0])
    assert Driver().identity() == identity


def test_a_replayed_call_runs_the_kernels_of_a_plain_one(tmp_path: Path) -> None:
    with opened(PyTorchCudaGraphs(), tmp_path, inspect=True) as session:
        first, second = (session.run(pictures(seed=seed))[0] for seed in (0, 1))
        assert not np.allclose(first, second), "each call has its own inputs"
        items = {item.name: item.value for item in session.evidence().items}
    replayed, _, rest = items["CUDA graph"].partition(" kernels replayed, ")
    assert rest == f"{replayed} of the {replayed} of a plain call"


def test_onnx_runtime_leaves_nothing_on_the_processor(tmp_path: Path) -> None:
    with opened(OnnxRuntimeCuda(), tmp_path, inspect=True) as session:
        session.run(pictures())
        items = session.evidence().items
    providers = {item.name for item in items if item.about == "provider"} - {"offered"}
    assert providers == {"CUDAExecutionProvider"}
    assert [item.value for item in items if item.name == "use_tf32"] == ["0"]


def test_a_compiled_net_is_opened_from_its_cache_and_its_kernels_have_modules(
    tmp_path: Path,
) -> None:
    with opened(TorchCompile(), tmp_path, inspect=True) as session:
        session.run(pictures())
        items = {item.name: item.value for item in session.evidence().items}
        assert items["form"] == "an exported program"
        assert items["cache"].startswith("hit: 1 of 1 graphs")
        try:
            found = session.profile([pictures()], 3)
        except Unsupported as error:
            pytest.fail(f"{error}; {items}")
    origins = {origin for kernel in found.kernels for origin in kernel.origins}
    assert {"0/conv2d", "1/relu", "2/conv2d"} <= origins
