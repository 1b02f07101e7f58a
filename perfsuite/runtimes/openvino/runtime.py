"""OpenVINO on the processor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import numpy as np

from perfsuite.domain.device import QuantizedGraphs
from perfsuite.domain.profile import Node, Profile
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, Unsupported
from perfsuite.export.linked import is_linked
from perfsuite.export.stored import is_sparse
from perfsuite.export.validity import kind_of_value
from perfsuite.runtimes.openvino.binary import add_conversion, name_parts, without_function
from perfsuite.runtimes.openvino.causes import with_causes
from perfsuite.runtimes.openvino.empty_constants import with_computed_empties
from perfsuite.runtimes.openvino.flat_conditions import with_flat_conditions
from perfsuite.runtimes.openvino.kept_right import keep_right
from perfsuite.runtimes.openvino.known_sequences import without_known_sequences
from perfsuite.runtimes.openvino.layers import layer_kernels, weights
from perfsuite.runtimes.openvino.left_out import without_empty_names
from perfsuite.runtimes.openvino.names import name_after_nodes, with_identities
from perfsuite.runtimes.openvino.norms import with_sums
from perfsuite.runtimes.openvino.own_values import with_own_values
from perfsuite.runtimes.openvino.plain_products import note_settings, settings_for
from perfsuite.runtimes.openvino.profile import MEMORY, graph_nodes, in_calls, layers, once, profile
from perfsuite.runtimes.openvino.single_rows import with_slices
from perfsuite.runtimes.openvino.softmaxes import with_one_side
from perfsuite.runtimes.openvino.stepping import with_pooled_steps
from perfsuite.runtimes.openvino.transforms import add_transforms
from perfsuite.runtimes.openvino.wrapped_pads import with_joined_slices
from perfsuite.runtimes.shared.base import (
    BaseSession,
    artifact_file,
    build_error,
    fixed_batch,
    no_such_type,
    open_error,
    versions,
)
from perfsuite.runtimes.shared.denormals import denormals_item
from perfsuite.runtimes.shared.precision import count, engine_item, precision_item
from perfsuite.runtimes.shared.quantization import weight_bits
from perfsuite.store.temporary import TemporaryFolder

if TYPE_CHECKING:
    import onnx

MODEL, WEIGHTS = "model.xml", "model.bin"
# Types that NumPy lacks, in OpenVINO's words.
_NO_NUMPY = ("bf16", "f8e4m3", "f8e5m2", "f8e8m0", "f4e2m1", "nf4", "i4", "u4", "u1", "u2", "u3",
             "u6")  # fmt: skip
_DENORMALS = "DENORMALS_OPTIMIZATION"
_HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16"}
_CAPABILITIES = {"fp32": "FP32", "bf16": "BF16", "fp16": "FP16"}


class OpenVino:
    """Runs ONNX graphs, stored in its own format and compiled when opened; needs openvino."""

    name: ClassVar[str] = "openvino"
    takes: ClassVar[str] = "graph"
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "bf16", "fp16")
    kernels: ClassVar[tuple[str, ...]] = ("binary",)
    artifact_version: ClassVar[int] = 6  # of what `_readable` and `keep_right` make

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
        _check_kinds(graph)
        try:
            with TemporaryFolder() as own:
                path, graph = _readable(variant.graph, graph, Path(own))
                core = openvino.Core()
                add_conversion(core)
                add_transforms(core, graph)
                model = core.read_model(str(path))
                _check_types(model, manifest.outputs)
                name_after_nodes(model, graph)
                name_parts(model, graph)
                keep_right(model)
                note_settings(model)
                openvino.save_model(model, str(folder / MODEL), compress_to_fp16=False)
        except RuntimeError as error:
            told = RuntimeError(with_causes(str(error)))
            raise build_error(self.name, variant.graph, told) from error

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
            "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,  # which rounds what meets weights in few bits
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
            keep_right(model)  # of sides that were open until now, too
            settings |= settings_for(model)
            compiled = core.compile_model(model, "CPU", settings)
        except RuntimeError as error:
            raise open_error(self.name, path, error) from error
        _check_sides(model, compiled)
        if not options.inspect:
            return OpenVinoSession(compiled, manifest)
        again = Uncompiled(
            graph_nodes(model),
            denormals_item("weights", weights(model)),
            lambda: core.compile_model(model, "CPU", settings),
        )
        return OpenVinoSession(compiled, manifest, again)


class Uncompiled(NamedTuple):
    """A model before it was compiled: its nodes, denormals in it, and how to compile it again."""

    graph: Sequence[Node]
    denormals: EvidenceItem
    compile: Callable[[], Any]


class OpenVinoSession(BaseSession):
    """A compiled graph and one synchronous request.

    With `inspect` it has the model before it was compiled.
    """

    def __init__(
        self,
        compiled: Any,
        manifest: Manifest,
        again: Uncompiled | None = None,
    ) -> None:
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._manifest, self._again = manifest, again
        tensors = {spec.name: self._request.get_tensor(spec.name) for spec in manifest.inputs}
        self._targets = {name: (tensor, tensor.data) for name, tensor in tensors.items()}
        self._outputs = range(len(manifest.outputs))
        texts = [port.get_element_type().to_string() == "string" for port in compiled.outputs]
        self._texts = frozenset(index for index, one in enumerate(texts) if one)

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
        if self._texts:
            found = [request.get_output_tensor(index) for index in self._outputs]
            return [
                tensor.str_data if index in self._texts else tensor.data.copy()
                for index, tensor in enumerate(found)
            ]
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
        items.append(_denormals(compiled))
        found = layers(compiled)
        ran = [
            layer
            for layer in in_calls(found)
            if layer.node.kind not in MEMORY and layer.time_s is not None
        ]
        kernels = count((layer.node.kind, layer.precision) for layer in ran)
        for primitive, times in sorted(Counter(layer.primitive for layer in ran).items()):
            items.append(EvidenceItem("observed", "kernel", primitive, f"{times} layers"))
        if prepared := once(found):
            items.append(
                EvidenceItem("observed", "kernel", "when compiled alone", f"{len(prepared)} layers")
            )
        items += [self._again.denormals, engine_item("OpenVINO", kernels)]
        return Evidence(
            (*items, precision_item(kernels)), kernels, layer_kernels(self._again.graph, found)
        )

    def profile(self, inputs: Sequence[Inputs], calls: int) -> Profile:
        """Return mean times and origins of all kernels, from a graph that is compiled again."""
        if self._again is None:
            return super().profile(inputs, calls)
        compiled = self._again.compile()
        with OpenVinoSession(compiled, self._manifest) as session:
            return profile(compiled, session.run, self._again.graph, inputs, calls)

    def close(self) -> None:
        """Free the request and the compiled graph."""
        self._targets = {}
        self._request = self._compiled = self._again = None


def _denormals(compiled: Any) -> EvidenceItem:
    """Return whether the plug-in takes denormals for zero, which it does not by itself."""
    try:
        value = compiled.get_property(f"CPU_{_DENORMALS}")
    except RuntimeError:  # of another architecture, or another version
        return EvidenceItem("reported", "setting", _DENORMALS, "not told")
    return EvidenceItem("reported", "setting", _DENORMALS, "on" if value is True else "off")


def _check_kinds(graph: onnx.ModelProto) -> None:
    """Raise `Unsupported` for outputs that are no tensors."""
    for value in graph.graph.output:
        if value.type.WhichOneof("value") not in (None, "tensor_type"):
            raise Unsupported(
                f"output '{value.name}' is {kind_of_value(value)}, and openvino gives tensors "
                f"alone; take onnxruntime, or export the model with tensors as outputs"
            )


def _check_types(model: Any, names: Sequence[str]) -> None:
    """Raise `Unsupported` for outputs of types that NumPy lacks."""
    for name, result in zip(names, model.get_results(), strict=True):
        kind = result.get_element_type().get_type_name()
        if kind in _NO_NUMPY:
            raise no_such_type(name, kind)


def _readable(path: Path, graph: onnx.ModelProto, folder: Path) -> tuple[Path, onnx.ModelProto]:
    """Return the file in `path` or, if the engine would misread it, a better one in `folder`.

    With it comes the graph that it holds.

    Of two nodes with one name the engine's layers could not be told apart, local functions, sparse
    weights and those behind links, which `graph` has no more, it does not take, of constants
    without elements and of inputs that are left out it makes something, of one row of rounded
    values more sides than there are, of some norms it does not read the axes, of an older Softmax
    one side alone, of a condition one side at most, of sequences it knows too little, of bodies
    that repeat a name from around them, or give what they were given, it miscounts values, to what
    lies before a Dropout it gives that one's name, and it has no circular padding. Pointwise
    layers that step over rounded pixels it computes in float.
    """
    import onnx

    written = onnx.load(path, format="protobuf", load_external_data=False)
    named = [node.name or next(filter(None, node.output), "") for node in written.graph.node]
    better = with_flat_conditions(with_own_values(with_identities(graph)))
    better = without_known_sequences(better)
    better = with_computed_empties(without_empty_names(with_sums(better)))
    better = with_pooled_steps(better)
    better = without_function(with_joined_slices(with_one_side(with_slices(better))))
    if (
        better is graph
        and not is_sparse(written)
        and not is_linked(path, written)
        and named == [node.name for node in graph.graph.node]
    ):
        return path, graph
    copy = folder / path.name
    onnx.save(better, copy)
    return copy, better


def _check_sides(model: Any, compiled: Any) -> None:
    """Raise `BuildError` if what is compiled gives other sides than the graph does."""
    for asked, given in zip(model.outputs, compiled.outputs, strict=True):
        ranks = [one.partial_shape.rank for one in (asked, given)]
        if all(rank.is_static for rank in ranks) and len({rank.get_length() for rank in ranks}) > 1:
            raise BuildError(
                f"openvino answers {given.partial_shape} for the output '{given.get_any_name()}', "
                f"which is {asked.partial_shape} in the graph: a fault of this OpenVINO; "
                "try another one, or another engine"
            )


def _shape(shape: tuple[int | str, ...], batch: int) -> Any:
    import openvino

    sides = [batch if side == "batch" else -1 if isinstance(side, str) else side for side in shape]
    return openvino.PartialShape(sides)
