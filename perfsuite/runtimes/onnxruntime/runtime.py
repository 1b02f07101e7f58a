"""ONNX Runtime on the processor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from perfsuite.domain.device import QuantizedGraphs
from perfsuite.domain.profile import Profile
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, PerfsuiteError
from perfsuite.export.float_weights import with_float_weights
from perfsuite.export.kept_layouts import with_kept_layouts
from perfsuite.export.values import arrays
from perfsuite.runtimes.onnxruntime.float_means import with_float_means
from perfsuite.runtimes.onnxruntime.layers import (
    PROVIDER,
    layer_kernels,
    usable_features,
    weights,
)
from perfsuite.runtimes.onnxruntime.outputs import are_plain, check_types
from perfsuite.runtimes.onnxruntime.profile import (
    TITLE,
    Event,
    Nodes,
    data_type,
    graph_nodes,
    profile,
    ran_nodes,
    read_trace,
)
from perfsuite.runtimes.onnxruntime.whole_vectors import with_whole_vectors
from perfsuite.runtimes.shared.base import (
    BaseSession,
    artifact_file,
    build_error,
    fixed_batch,
    open_error,
    versions,
)
from perfsuite.runtimes.shared.denormals import denormals_item
from perfsuite.runtimes.shared.origins import Graph
from perfsuite.runtimes.shared.precision import count, engine_item, precision_item
from perfsuite.runtimes.shared.quantization import weight_bits
from perfsuite.runtimes.shared.threads import counted, thread_items
from perfsuite.store.temporary import TemporaryFolder

if TYPE_CHECKING:
    import onnx

MODEL = "model.onnx"
_DENORMALS = "session.set_denormal_as_zero"


class OnnxRuntime:
    """Runs ONNX graphs, which it optimizes when they are opened; needs onnxruntime."""

    name: ClassVar[str] = "onnxruntime"
    takes: ClassVar[str] = "graph"
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    operators: ClassVar[tuple[str, ...]] = ()  # libraries of custom ones, which a subclass names
    # Of what `with_float_means`, `with_whole_vectors` and `with_float_weights` make.
    quantized_version: ClassVar[int] = 5

    def probe(self) -> dict[str, str]:
        """Return the version, or raise `Unavailable`."""
        return versions(
            "onnxruntime", ("onnxruntime", "onnxruntime-gpu"), "pip install onnxruntime"
        )

    def quantized_graphs(self, device: str) -> QuantizedGraphs | None:
        """Return uint8 activations, because it fuses a ReLU into their rounding, all quantized.

        It has no 8-bit kernel for transposed convolutions.
        """
        return QuantizedGraphs(
            "uint8",
            sum_in_accumulator=False,
            weight_bits=weight_bits(),
            float_operators=("ConvTranspose",),
        )

    def build(self, variant: Variant, manifest: Manifest, folder: Path) -> None:
        """Write `model.onnx` with its weights, after a trial that finds missing operators.

        What a pass has quantized gets channels in whole vectors, and layers that stay in float do.
        """
        import onnx

        from perfsuite.export.normalize import remove_sources
        from perfsuite.export.onnx import load_graph

        if variant.graph is None:
            raise BuildError("onnxruntime takes an ONNX graph, and there is none")
        model = load_graph(variant.graph)
        remove_sources(model)  # of a user's file, which may be shipped
        model = with_kept_layouts(model)
        if variant.quantized:
            model = with_float_weights(with_whole_vectors(with_float_means(model)))
        path = folder / MODEL
        onnx.save(self._typed(model, manifest.precision), path)
        try:
            opening = self._opening(path, manifest, SessionOptions(0, 1))
            check_types(opening.session(None).get_outputs())
        except PerfsuiteError:
            path.unlink()
            raise
        except Exception as error:
            path.unlink()
            raise build_error(self.name, variant.graph, error) from error

    def open(self, folder: Path, manifest: Manifest, options: SessionOptions) -> OnnxSession:
        """Return a session for exactly `options.batch` samples."""
        fixed_batch(manifest.inputs, options.batch)
        opening = self._opening(artifact_file(folder, MODEL), manifest, options)
        traces = TemporaryFolder() if options.inspect else None
        try:
            import onnxruntime  # noqa: F401 - which starts a thread that computes nothing

            session, started = counted(
                lambda: opening.session(None if traces is None else Path(traces.name))
            )
        except Exception as error:
            if traces is not None:
                traces.cleanup()
            if isinstance(error, PerfsuiteError):
                raise
            raise open_error(self.name, opening.path, error) from error
        return self._opened(opening, session, traces, started)

    def _typed(self, model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
        """Return the graph in the types that it is to be computed in."""
        return model

    def _opening(self, path: Path, manifest: Manifest, options: SessionOptions) -> Opening:
        return Opening(path, options, self.operators)

    def _opened(
        self, opening: Opening, session: Any, traces: TemporaryFolder | None, started: int | None
    ) -> OnnxSession:
        return OnnxSession(opening, session, traces, started)


@dataclass(frozen=True)
class Opening:
    """All that the graph at `path` is opened with, once or several times."""

    path: Path
    options: SessionOptions
    operators: tuple[str, ...] = ()  # libraries of custom ones

    def session(self, traces: Path | None, optimized: Path | None = None) -> Any:
        """Return a session that writes a trace into `traces` and the graph that it `optimized`."""
        import onnxruntime

        settings = _options(self.options.threads, self.operators)
        if not self.options.optimized:
            disabled = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
            settings.graph_optimization_level = disabled
        if self.options.batch:  # with known shapes, memory and layouts are planned once
            settings.add_free_dimension_override_by_name("batch", self.options.batch)
        if traces is not None:
            settings.enable_profiling = True
            settings.profile_file_prefix = str(traces / "trace")
        if optimized is not None:
            settings.optimized_model_filepath = str(optimized)
            # Weights are written to a file of their own, because a graph is limited to 2 GiB.
            key = "session.optimized_model_external_initializers"
            settings.add_session_config_entry(f"{key}_file_name", "weights.bin")
            settings.add_session_config_entry(f"{key}_min_size_in_bytes", "64")
        return self._made(settings)

    def _made(self, settings: Any) -> Any:
        import onnxruntime

        return onnxruntime.InferenceSession(str(self.path), settings, providers=[PROVIDER])


class OnnxSession(BaseSession):
    """An opened graph, and how many threads it `started`.

    With `inspect` it writes a trace, which `evidence` reads.
    """

    def __init__(
        self,
        opening: Opening,
        session: Any,
        traces: TemporaryFolder | None,
        started: int | None,
    ) -> None:
        self._opening, self._path = opening, opening.path
        self._session = session
        self._run = session.run
        self._plain = are_plain(session.get_outputs())
        self._traces, self._started = traces, started
        self._evidence: Evidence | None = None

    def run(self, inputs: Inputs) -> Outputs:
        """Return all outputs as host arrays; see `arrays` for what is no array by itself."""
        outputs: Outputs = self._run(None, inputs)
        return outputs if self._plain else arrays(outputs)

    def evidence(self) -> Evidence:
        """Return provider and precision of each node that ran; this ends the trace."""
        if self._evidence is None:
            self._evidence = self._read()
        return self._evidence

    def profile(self, inputs: Sequence[Inputs], calls: int) -> Profile:
        """Return times and origins of all kernels, from another session with a trace of its own."""
        if self._traces is None:
            return super().profile(inputs, calls)
        with TemporaryFolder() as name:
            optimized = Path(name) / "optimized.onnx"
            session = self._opening.session(Path(name), optimized)
            return self._profiled(session, optimized, inputs, calls)

    def close(self) -> None:
        """Free the graph and remove the trace."""
        self._session = self._run = None
        if self._traces is not None:
            self._traces.cleanup()

    def _profiled(
        self, session: Any, optimized: Path, inputs: Sequence[Inputs], calls: int
    ) -> Profile:
        return profile(session, self._path, optimized, inputs, calls)

    def _read(self) -> Evidence:
        items = [
            *thread_items("intra-op", self._started),
            EvidenceItem(
                "reported", "provider", "offered", ", ".join(self._session.get_providers())
            ),
        ]
        if self._traces is None:
            return Evidence(tuple(items))
        events = read_trace(Path(self._session.end_profiling()))
        nodes = ran_nodes(events)
        for provider, times in Counter(node["provider"] for node in nodes.values()).items():
            items.append(EvidenceItem("observed", "provider", provider, f"{times} nodes"))
        items += [self._denormals(), denormals_item("weights", weights(self._path))]
        return self._told(nodes, events, items)

    def _told(self, nodes: Nodes, events: list[Event], items: list[EvidenceItem]) -> Evidence:
        """Return the evidence of the nodes that ran, with `items` and what else a trace tells."""
        kernels = count((node["op_name"], data_type(node) or "unknown") for node in nodes.values())
        found = layer_kernels(nodes, Graph(graph_nodes(self._path)), usable_features())
        more = (engine_item(TITLE, kernels), precision_item(kernels))
        return Evidence((*items, *more), kernels, found)

    def _denormals(self) -> EvidenceItem:
        """Return whether the session takes denormals for zero, which it does not by itself."""
        try:
            value = self._session.get_session_options().get_session_config_entry(_DENORMALS)
        except (AttributeError, RuntimeError):  # nobody has set it
            value = "0"
        return EvidenceItem("reported", "setting", _DENORMALS, "on" if value == "1" else "off")


def _options(threads: int, operators: tuple[str, ...] = ()) -> Any:
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    for library in operators:
        settings.register_custom_ops_library(library)
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    settings.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    settings.log_severity_level = 4  # only fatal; errors are raised as exceptions
    # Products with weights in few bits are computed in fp32, not with rounded activations.
    settings.add_session_config_entry("session.qdq_matmulnbits_accuracy_level", "1")
    return settings
