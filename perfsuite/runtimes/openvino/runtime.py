"""OpenVINO on the processor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from perfsuite.domain.device import QuantizedGraphs
from perfsuite.domain.profile import Node, Profile
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, Unsupported
from perfsuite.runtimes.openvino.profile import MEMORY, NOT_RUN, graph_nodes, profile
from perfsuite.runtimes.shared.base import (
    BaseSession,
    artifact_file,
    build_error,
    fixed_batch,
    open_error,
    versions,
)
from perfsuite.runtimes.shared.precision import count, precision_item
from perfsuite.runtimes.shared.quantization import weight_bits

if TYPE_CHECKING:
    import onnx

MODEL, WEIGHTS = "model.xml", "model.bin"
_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16"}


class OpenVino:
    """Stores graphs in OpenVINO's own format with a dynamic batch; compiles them when opened."""

    name: ClassVar[str] = "openvino"
    takes: ClassVar[str] = "graph"
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "bf16", "fp16")

    def probe(self) -> dict[str, str]:
        """Return the version, or raise `Unavailable`."""
        return versions("openvino", ("openvino",), "pip install openvino")

    def quantized_graphs(self, device: str) -> QuantizedGraphs:
        """Return uint8 activations; it adds shortcuts to a convolution's 32-bit sums."""
        return QuantizedGraphs("uint8", sum_in_accumulator=True, weight_bits=weight_bits())

    def build(self, variant: Variant, manifest: Manifest, folder: Path) -> None:
        """Write `model.xml` and `model.bin`, weights in the precision of the graph."""
        import openvino

        from perfsuite.export.onnx import load_graph

        if variant.graph is None:
            raise BuildError("openvino takes an ONNX graph, and there is none")
        graph = load_graph(variant.graph)  # a file that is no ONNX model is the user's error
        try:
            model = openvino.Core().read_model(str(variant.graph))
            _name_last(model, graph)
            openvino.save_model(model, str(folder / MODEL), compress_to_fp16=False)
        except RuntimeError as error:
            raise build_error(self.name, variant.graph, error) from error

    def open(self, folder: Path, manifest: Manifest, options: SessionOptions) -> OpenVinoSession:
        """Return a session for exactly `options.batch` samples.

        The settings are those of `benchmark_app -hint none -nstreams 1 -nthreads N -api sync`, and
        the precision is set, because by default the engine uses bf16 where it can.
        """
        import openvino

        fixed_batch(manifest.inputs, options.batch)
        path, _ = artifact_file(folder, MODEL), artifact_file(folder, WEIGHTS)
        settings: dict[str, Any] = {
            "INFERENCE_PRECISION_HINT": _HINTS[manifest.precision],
            "INFERENCE_NUM_THREADS": options.threads,
            "NUM_STREAMS": 1,
            "PERF_COUNT": options.inspect,
        }
        core = openvino.Core()
        able = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        if _CAPABILITIES[manifest.precision] not in able:
            raise Unsupported(
                f"openvino in {manifest.precision}: this processor computes in {', '.join(able)}"
            )
        try:
            model = core.read_model(str(path))
            shapes = {spec.name: _shape(spec.shape, options.batch) for spec in manifest.inputs}
            model.reshape(shapes)
            compiled = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise open_error(self.name, path, error) from error
        if not options.inspect:
            return OpenVinoSession(compiled, manifest)
        graph = graph_nodes(model)
        return OpenVinoSession(
            compiled, manifest, graph, lambda: core.compile_model(model, "CPU", settings)
        )


class OpenVinoSession(BaseSession):
    """A compiled graph and one synchronous request.

    With `inspect` it has the graph before it was compiled, and can compile it again.
    """

    def __init__(
        self,
        compiled: Any,
        manifest: Manifest,
        graph: Sequence[Node] = (),
        again: Callable[[], Any] | None = None,
    ) -> None:
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._manifest, self._graph, self._again = manifest, graph, again
        tensors = {spec.name: self._request.get_tensor(spec.name) for spec in manifest.inputs}
        self._targets = {name: (tensor, tensor.data) for name, tensor in tensors.items()}
        self._outputs = range(len(manifest.outputs))

    def run(self, inputs: Inputs) -> Outputs:
        """Return copies of the outputs, which the next call does not overwrite."""
        request = self._request
        for name, (tensor, target) in self._targets.items():
            value = inputs[name]
            if target.shape != value.shape:  # a dimension that is dynamic beside the batch
                tensor.shape = value.shape
                target = tensor.data
                self._targets[name] = (tensor, target)
            np.copyto(target, value, casting="equiv")
        request.infer()
        return [request.get_output_tensor(index).data.copy() for index in self._outputs]

    def evidence(self) -> Evidence:
        """Return the type, precision and implementation of each kernel that ran."""
        compiled = self._compiled
        items = [
            EvidenceItem("reported", "threads", key, str(compiled.get_property(key)))
            for key in ("INFERENCE_NUM_THREADS", "NUM_STREAMS")
        ]
        hint = compiled.get_property("INFERENCE_PRECISION_HINT")
        items.append(
            EvidenceItem("reported", "precision", "INFERENCE_PRECISION_HINT", hint.to_string())
        )
        if self._again is None:
            return Evidence(tuple(items))
        layers = [_info(node) for node in compiled.get_runtime_model().get_ordered_ops()]
        ran = [
            layer
            for layer in layers
            if layer["layerType"] not in MEMORY and layer["execTimeMcs"] != NOT_RUN
        ]
        kernels = count((layer["layerType"], layer["runtimePrecision"]) for layer in ran)
        for primitive, times in sorted(Counter(layer["primitiveType"] for layer in ran).items()):
            items.append(EvidenceItem("observed", "kernel", primitive, f"{times} layers"))
        return Evidence((*items, precision_item(kernels)), kernels)

    def profile(self, inputs: Sequence[Inputs], calls: int) -> Profile:
        """Return mean times and origins of all kernels, from a graph that is compiled again."""
        if self._again is None:
            return super().profile(inputs, calls)
        compiled = self._again()
        with OpenVinoSession(compiled, self._manifest) as session:
            return profile(compiled, session.run, self._graph, inputs, calls)

    def close(self) -> None:
        """Free the request and the compiled graph."""
        self._targets = {}
        self._request = self._compiled = self._again = None


def _name_last(model: Any, graph: onnx.ModelProto) -> None:
    """Restore the names of nodes that make outputs, which OpenVINO replaces by the outputs'."""
    names = {value: node.name for node in graph.graph.node for value in node.output if node.name}
    for result in model.get_results():
        layer = result.input_value(0).get_node()
        layer.set_friendly_name(names.get(layer.get_friendly_name(), layer.get_friendly_name()))


def _shape(shape: tuple[int | str, ...], batch: int) -> Any:
    import openvino

    sides = [batch if side == "batch" else -1 if isinstance(side, str) else side for side in shape]
    return openvino.PartialShape(sides)


def _info(node: Any) -> dict[str, str]:
    info = node.get_rt_info()
    keys = ("layerType", "runtimePrecision", "primitiveType", "execTimeMcs")
    return {key: str(info[key].astype(str)) if key in info else NOT_RUN for key in keys}
