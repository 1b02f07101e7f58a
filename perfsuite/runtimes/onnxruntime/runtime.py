"""ONNX Runtime on the processor."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from perfsuite.domain.device import QuantizedGraphs
from perfsuite.domain.profile import Profile
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, Unsupported
from perfsuite.export.values import arrays
from perfsuite.runtimes.onnxruntime.layers import (
    PROVIDER,
    layer_kernels,
    usable_features,
    weights,
)
from perfsuite.runtimes.onnxruntime.outputs import are_plain, check_types
from perfsuite.runtimes.onnxruntime.profile import (
    data_type,
    graph_nodes,
    profile,
    read_trace,
)
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

MODEL = "model.onnx"
_DENORMALS = "session.set_denormal_as_zero"


class OnnxRuntime:
    """Runs ONNX graphs, which the engine optimizes when they are opened."""

    name: ClassVar[str] = "onnxruntime"
    takes: ClassVar[str] = "graph"
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)
    operators: ClassVar[tuple[str, ...]] = ()  # libraries of custom ones, which a subclass names

    def probe(self) -> dict[str, str]:
        """Return the version, or raise `Unavailable`."""
        return versions(
            "onnxruntime", ("onnxruntime", "onnxruntime-gpu"), "pip install onnxruntime"
        )

    def quantized_graphs(self, device: str) -> QuantizedGraphs:
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
        """Write `model.onnx` with its weights, after a trial that finds missing operators."""
        import onnx

        from perfsuite.export.normalize import remove_sources
        from perfsuite.export.onnx import load_graph

        if variant.graph is None:
            raise BuildError("onnxruntime takes an ONNX graph, and there is none")
        model = load_graph(variant.graph)
        remove_sources(model)  # of a user's file, which may be shipped
        path = folder / MODEL
        onnx.save(model, path)
        try:
            check_types(_session(path, _options(1, self.operators)).get_outputs())
        except Unsupported:
            path.unlink()
            raise
        except Exception as error:
            path.unlink()
            raise build_error(self.name, variant.graph, error) from error

    def open(self, folder: Path, manifest: Manifest, options: SessionOptions) -> OnnxSession:
        """Return a session for exactly `options.batch` samples."""
        fixed_batch(manifest.inputs, options.batch)
        path = artifact_file(folder, MODEL)
        traces = TemporaryFolder() if options.inspect else None
        try:
            import onnxruntime  # noqa: F401 - which starts a thread that computes nothing

            session, started = counted(
                lambda: _opened(
                    path, options, self.operators, None if traces is None else Path(traces.name)
                )
            )
        except Exception as error:
            if traces is not None:
                traces.cleanup()
            raise open_error(self.name, path, error) from error
        return OnnxSession(session, path, options, traces, started, self.operators)


class OnnxSession(BaseSession):
    """An opened graph, and how many threads it `started`.

    With `inspect` it writes a trace, which `evidence` reads.
    """

    def __init__(
        self,
        session: Any,
        path: Path,
        options: SessionOptions,
        traces: TemporaryFolder | None,
        started: int | None,
        operators: tuple[str, ...],
    ) -> None:
        self._session = session
        self._run = session.run
        self._plain = are_plain(session.get_outputs())
        self._path, self._options = path, options
        self._traces, self._started = traces, started
        self._operators = operators
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
            session = _opened(self._path, self._options, self._operators, Path(name), optimized)
            return profile(session, self._path, optimized, inputs, calls)

    def close(self) -> None:
        """Free the graph and remove the trace."""
        self._session = self._run = None
        if self._traces is not None:
            self._traces.cleanup()

    def _read(self) -> Evidence:
        items = [
            *thread_items("intra-op", self._started),
            EvidenceItem(
                "reported", "provider", "offered", ", ".join(self._session.get_providers())
            ),
        ]
        if self._traces is None:
            return Evidence(tuple(items))
        nodes = _nodes(read_trace(Path(self._session.end_profiling())))
        ran = list(nodes.values())
        kernels = count((node["op_name"], data_type(node) or "unknown") for node in ran)
        for provider, times in Counter(node["provider"] for node in ran).items():
            items.append(EvidenceItem("observed", "provider", provider, f"{times} nodes"))
        items += [
            self._denormals(),
            denormals_item("weights", weights(self._path)),
            engine_item("ONNX Runtime", kernels),
        ]
        found = layer_kernels(nodes, Graph(graph_nodes(self._path)), usable_features())
        return Evidence((*items, precision_item(kernels)), kernels, found)

    def _denormals(self) -> EvidenceItem:
        """Return whether the session takes denormals for zero, which it does not by itself."""
        try:
            value = self._session.get_session_options().get_session_config_entry(_DENORMALS)
        except (AttributeError, RuntimeError):  # nobody has set it
            value = "0"
        return EvidenceItem("reported", "setting", _DENORMALS, "on" if value == "1" else "off")


def _nodes(events: list[dict[str, Any]]) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the arguments of each node's kernel event, once for each node."""
    return {
        (event["name"], event["args"]["node_index"]): event["args"]  # inserted nodes share names
        for event in events
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time")
    }


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


def _opened(
    path: Path,
    options: SessionOptions,
    operators: tuple[str, ...],
    traces: Path | None,
    optimized: Path | None = None,
) -> Any:
    """Return a session that writes a trace into `traces` and the graph that it `optimized`."""
    import onnxruntime

    settings = _options(options.threads, operators)
    if not options.optimized:
        disabled = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        settings.graph_optimization_level = disabled
    if options.batch:  # with known shapes, memory and layouts are planned once
        settings.add_free_dimension_override_by_name("batch", options.batch)
    if traces is not None:
        settings.enable_profiling = True
        settings.profile_file_prefix = str(traces / "trace")
    if optimized is not None:
        settings.optimized_model_filepath = str(optimized)
        # Weights are written to a file of their own, because a graph is limited to 2 GiB.
        key = "session.optimized_model_external_initializers"
        settings.add_session_config_entry(f"{key}_file_name", "weights.bin")
        settings.add_session_config_entry(f"{key}_min_size_in_bytes", "64")
    return _session(path, settings)


def _session(path: Path, settings: Any) -> Any:
    import onnxruntime

    return onnxruntime.InferenceSession(str(path), settings, providers=[PROVIDER])
