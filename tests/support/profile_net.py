"""A small net with all that engines fuse, and what must hold of a profile of it."""

from __future__ import annotations

import functools
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from perfsuite.domain.model import InputSpec
from perfsuite.domain.profile import Profile
from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.runtime import Manifest, Runtime, SessionOptions, Variant
from perfsuite.export.onnx import export_graph, load_graph
from perfsuite.passes.int8.int8 import Int8
from perfsuite.runtimes.table import RUNTIMES

SPEC = (InputSpec("image", "float32", ("batch", 3, 16, 16)),)
PRODUCTS = ("Conv", "Gemm", "MatMul")


def net() -> Any:
    """Residual, depthwise, channel shuffle, pooling, linear; batch norms everywhere."""
    import torch
    from torch import nn
    from torch.nn import functional

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(16)
            self.conv2 = nn.Conv2d(16, 16, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(16)

        def forward(self, x: Any) -> Any:
            inner = functional.relu(self.bn1(self.conv1(x)))
            return functional.relu(self.bn2(self.conv2(inner)) + x)

    class Shuffle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
            self.norm = nn.BatchNorm2d(16)
            self.pointwise = nn.Conv2d(16, 16, 1)

        def mix(self, x: Any) -> Any:
            n, _, h, w = x.shape
            return x.reshape(n, 2, 8, h, w).transpose(1, 2).reshape(n, 16, h, w)

        def forward(self, x: Any) -> Any:
            return self.mix(self.pointwise(self.norm(self.depthwise(x))))

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(
                nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU()
            )
            self.blocks = nn.Sequential(Block(), Block())
            self.pool = nn.MaxPool2d(2)
            self.shuffle = Shuffle()
            self.head = nn.Linear(16, 5)

        def forward(self, image: Any) -> Any:
            return self.head(self.shuffle(self.pool(self.blocks(self.stem(image)))).mean((2, 3)))

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Net().eval()


def images(batch: int = 1, seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"image": rng.normal(size=(batch, 3, 16, 16)).astype(np.float32)}


@functools.cache
def exported() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.onnx"
        export_graph(net(), SPEC, images(2), path)
        return path.read_bytes()


def export(folder: Path, target: str | None = None) -> Path:
    """Return the exported net; with a target's name, quantized for it."""
    path = folder / "net.onnx"
    path.write_bytes(exported())
    if target is not None:
        context = PassContext(
            inputs=images(),
            calibration=lambda samples: iter([images(samples)]),
            train=lambda: (_ for _ in ()).throw(AssertionError("no training")),
            target=Target(target, "cpu", quantized=RUNTIMES[target]().quantized_graphs("cpu")),
            checkpoint=folder,
            progress=lambda done, total: None,
            latency_s=lambda candidates, cold_bytes=0: (0.0,) * len(candidates),
        )
        onnx.save(Int8(calibration_samples=4).apply(load_graph(path), context), path)
    return path


def profiled(runtime: Runtime, graph: Path, folder: Path, calls: int, quantized: bool) -> Profile:
    outputs = (load_graph(graph).graph.output[0].name,)
    manifest = Manifest(runtime.name, "cpu", "fp32", 1, SPEC, outputs, quantized, quantized)
    runtime.build(Variant(graph, None, quantized), manifest, folder)
    with runtime.open(folder, manifest, SessionOptions(1, 1, inspect=True)) as session:
        session.run(images())
        session.evidence()
        return session.profile([images(seed=0), images(seed=1)], calls)


def check_traced(profile: Profile, graph: Path) -> None:
    """Every kernel has an owner, all owners are nodes of the graph, each product is in one."""
    nodes = {node.name: node.op_type for node in load_graph(graph).graph.node}
    origins = Counter(name for kernel in profile.kernels for name in kernel.origins)
    nearby = {name for kernel in profile.kernels for name in kernel.neighbours}
    assert (set(origins) | nearby) - set(nodes) == set()
    lost = [kernel.name for kernel in profile.kernels if not kernel.origins + kernel.neighbours]
    assert lost == []
    assert all(not kernel.neighbours for kernel in profile.kernels if kernel.origins)
    products = {name: origins[name] for name, kind in nodes.items() if kind in PRODUCTS}
    assert len(products) == 8
    assert set(products.values()) == {1}, products
    for name, kind in nodes.items():
        assert origins[name] == 1 or kind not in ("Relu", "Add", "MaxPool", "ReduceMean"), name
