"""Does a net, exported, answer alike on the engines that take graphs?"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.domain.workload import Workload
from perfsuite.export.onnx import export_graph, graph_spec, load_graph
from perfsuite.export.parity import parity
from perfsuite.runtimes.onnxruntime.runtime import OnnxRuntime
from perfsuite.runtimes.openvino.runtime import OpenVino
from perfsuite.runtimes.pytorch.runtime import run_module


def check_engines(workload: Workload, module: Any, folder: Path, exporter: str) -> None:
    """Raise unless ONNX Runtime and OpenVINO answer as `module` does, at batches of 1 and 2.

    `exporter` is the one that has to manage.
    """
    spec, graph = workload.input_spec(), folder / "graph.onnx"
    export_graph(module, spec, workload.task.inputs(2, 0), graph)
    model = load_graph(graph)
    assert {prop.key: prop.value for prop in model.metadata_props}["perfsuite.exporter"] == exporter
    _, names = graph_spec(model)
    for batch in (1, 2):
        inputs = workload.task.inputs(batch, 1)
        expected = run_module(module, inputs)
        assert all(np.isfinite(output).all() for output in expected)
        for runtime in (OnnxRuntime(), OpenVino()):
            place = folder / f"{runtime.name}-{batch}"
            place.mkdir()
            manifest = Manifest(runtime.name, "cpu", "fp32", batch, spec, names, False, False)
            runtime.build(Variant(graph, None, False), manifest, place)
            with runtime.open(place, manifest, SessionOptions(batch, 1)) as session:
                parity(expected, session.run(inputs), names, "fp32")
