"""A net and a graph that are inspected in fresh processes, in which a test has set a fault."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np
import pytest

from perfsuite.config.doctor_suite import doctor_suite
from perfsuite.config.expansion import cells
from perfsuite.domain.finding import Finding
from perfsuite.domain.record import Line
from perfsuite.libraries.settings import CAPS, THREADS
from perfsuite.runner.job import Job, first_job
from perfsuite.runner.process import run_job_in_process
from perfsuite.store.cache import Cache

# What the environment sets, in the process that computes: words, and the file of a library.
FAULTS, LIBRARY = "SEEDED_FAULTS", "SEEDED_LIBRARY"

NET = f'''
"""A net in which an environment variable sets faults while it computes."""

import ctypes
import os

import numpy as np

from perfsuite import Model, Task, Workload

FAULTS = os.environ.get("{FAULTS}", "").split()


class Pictures(Task):
    def inputs(self, batch, seed):
        rng = np.random.default_rng([seed, batch])
        return {{"x": rng.normal(size=(batch, 3, 96, 96)).astype(np.float32)}}


def build():
    import torch
    from torch import nn

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(3, 8, 3, bias=False)
            self.body = nn.Conv2d(8, 8, 3, bias=False)
            self.head = nn.Linear(8, 10)

        def forward(self, x):
            if "denormals" in FAULTS:
                x = x * 1e-39
            if "layout" in FAULTS:
                x = x.transpose(2, 3)
            x = self.stem(x)
            if "one-layer" in FAULTS:
                with torch.backends.mkldnn.flags(enabled=False):
                    x = self.body(x)
            else:
                x = self.body(x)
            return self.head(x.relu().mean((2, 3)))

    torch.manual_seed(0)
    net = Net().eval()
    if "onednn-off" in FAULTS:
        torch.backends.mkldnn.enabled = False
    if "one-thread" in FAULTS:
        torch.set_num_threads(1)
    if path := os.environ.get("{LIBRARY}"):
        ctypes.CDLL(path)
    return net


net = Workload("net", Model(build=build), Pictures())
'''


# ONNX Runtime, asked for a provider that has none of the operators.
ELSEWHERE = """
import onnxruntime

from perfsuite.runtimes.onnxruntime import runtime as engine

ASKED = [one for one in onnxruntime.get_available_providers() if one != engine.PROVIDER]


class Elsewhere(engine.OnnxRuntime):
    name = "elsewhere"

    def open(self, folder, manifest, options):
        engine.Opening._made = lambda self, settings: onnxruntime.InferenceSession(
            str(self.path), settings, providers=[*ASKED, engine.PROVIDER]
        )
        return super().open(folder, manifest, options)
"""


def write_graph(path: Path) -> None:
    """Write a convolution in float32 and a matrix product in explicit INT8."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(1)
    values: dict[str, np.ndarray] = {
        "w": rng.normal(size=(8, 3, 3, 3)).astype(np.float32),
        "q": rng.integers(-127, 127, (8, 16)).astype(np.int8),
        "scale": np.asarray(0.03, np.float32),
        "unsigned": np.asarray(128, np.uint8),
        "signed": np.asarray(0, np.int8),
    }
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w"], ["c"], "conv", strides=[2, 2]),
        node("GlobalAveragePool", ["c"], ["p"], "pool"),
        node("Flatten", ["p"], ["f"], "flatten"),
        node("QuantizeLinear", ["f", "scale", "unsigned"], ["fq"], "quantize"),
        node("DequantizeLinear", ["fq", "scale", "unsigned"], ["fd"], "dequantize"),
        node("DequantizeLinear", ["q", "scale", "signed"], ["qd"], "weights"),
        node("MatMul", ["fd", "qd"], ["m"], "product"),
        node("QuantizeLinear", ["m", "scale", "unsigned"], ["mq"], "quantize_answer"),
        node("DequantizeLinear", ["mq", "scale", "unsigned"], ["y"], "answer"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 32, 32])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 16])],
        [numpy_helper.from_array(value, name) for name, value in values.items()],
    )
    opset = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=10), path)


def prepared(workload: str, runtime: str, threads: int) -> Job:
    """Return the inspect job of an artifact that a process of its own has prepared."""
    (cell,) = cells(doctor_suite(workload, [runtime], threads=threads))
    job = first_job(doctor_suite(workload, [runtime], threads=threads), cell)
    line = run_job_in_process(job)
    assert line.error is None, line.error
    folder = Cache().get("artifact", line.artifact)
    return msgspec.structs.replace(
        job, kind="inspect", artifact=str(folder), artifact_key=line.artifact
    )


def inspected(job: Job, environment: Mapping[str, str] | None = None) -> Line:
    """Return the line of an inspect job in a fresh process that has this environment as well.

    Variables that cap libraries, as a workplace may set them, are taken out before.
    """
    with pytest.MonkeyPatch.context() as patch:
        plain(patch)
        for name, value in (environment or {}).items():
            patch.setenv(name, value)
        return run_job_in_process(job)


def plain(patch: pytest.MonkeyPatch) -> None:
    """Take out what caps libraries or limits threads."""
    for name in (*CAPS, *THREADS):
        patch.delenv(name, raising=False)


def by_name(line: Line) -> dict[str, Finding]:
    """Return what was found, by name."""
    assert line.evidence is not None, line.error
    return {one.name: one for one in line.evidence.findings}
