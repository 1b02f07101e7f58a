"""ONNX Runtime on an NVIDIA card, by its provider for CUDA."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.profile import Profile
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.runtime import BoundTimes, Manifest, SessionOptions
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, PerfsuiteError, Unavailable
from perfsuite.runtimes.onnxruntime.cuda_trace import (
    CUDA_PROVIDER,
    check_fallback,
    launched,
    on_card,
    operators,
    with_kernels,
)
from perfsuite.runtimes.onnxruntime.layers import PROVIDER, layer_kernels
from perfsuite.runtimes.onnxruntime.profile import TITLE, Event, Nodes, graph_nodes, profile
from perfsuite.runtimes.onnxruntime.runtime import OnnxRuntime, OnnxSession, Opening
from perfsuite.runtimes.shared.base import trimmed, versions
from perfsuite.runtimes.shared.cuda_driver import CUDA, Driver, Stream
from perfsuite.runtimes.shared.device_clock import timed_by_events
from perfsuite.runtimes.shared.kernel_names import kernel_items, operator_precision
from perfsuite.runtimes.shared.origins import Graph
from perfsuite.runtimes.shared.precision import count, engine_item, precision_item
from perfsuite.store.temporary import TemporaryFolder

if TYPE_CHECKING:
    import onnx

LIBRARY = "libonnxruntime_providers_cuda.so"
OLDEST = (12, 0)  # the CUDA that builds without word of theirs need
_OUT_OF_MEMORY = (
    "out of memory",
    "Failed to allocate memory",
    "smaller than requested bytes",
    "STATUS_ALLOC_FAILED",
)
_NO_KERNELS = "no kernel image"  # in CUDA's word for code that was compiled for other cards
# By itself each call waits for the card, which would be in the time that the card's clock tells.
_NO_WAITING = ("disable_synchronize_execution_providers", "1")
_INSTALL = "pip uninstall onnxruntime, then pip install 'onnxruntime-gpu[cuda,cudnn]'"


class OnnxRuntimeCuda(OnnxRuntime):
    """Runs ONNX graphs on an NVIDIA card; needs onnxruntime-gpu in place of onnxruntime."""

    name: ClassVar[str] = "onnxruntime-cuda"
    devices: ClassVar[tuple[str, ...]] = (CUDA,)
    # Not TF32: the provider has it, but published builds name no kernel that could prove it.
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "fp16")
    on_processor: ClassVar[tuple[str, ...]] = ()  # operators that may run there, by a subclass

    def probe(self) -> dict[str, str]:
        """Return the version of a build that has the provider, or raise `Unavailable`."""
        found = versions("onnxruntime", ("onnxruntime-gpu", "onnxruntime"), _INSTALL)
        spec = find_spec("onnxruntime")
        folders = spec.submodule_search_locations if spec is not None else None
        if not any((Path(one) / "capi" / LIBRARY).is_file() for one in folders or ()):
            raise Unavailable(
                f"this onnxruntime is built for the processor alone: {_INSTALL} (the two are one "
                f"package to Python, and the later one replaces the other)"
            )
        return found

    def require(self, device: str, precision: str) -> None:
        """Raise `Unavailable` without a build for cards, a driver that is new enough, or a card."""
        self.probe()
        import onnxruntime

        built_for = str(getattr(onnxruntime, "cuda_version", "") or "")
        major = built_for.partition(".")[0]
        Driver().require(TITLE, (int(major), 0) if major.isdigit() else OLDEST)

    def identify(self, device: str) -> DeviceIdentity:
        """Return which card it is; raise `Unavailable` without one."""
        return Driver().identity()

    def quantized_graphs(self, device: str) -> None:
        """Return None: its provider for CUDA computes Q/DQ pairs as they stand, in float."""

    def _typed(self, model: onnx.ModelProto, precision: str) -> onnx.ModelProto:
        """Return the graph in fp16 if that was asked for: the provider takes types from it."""
        from perfsuite.export.lowered import lowered

        return lowered(model, "fp16") if precision == "fp16" else model

    def _opening(self, path: Path, manifest: Manifest, options: SessionOptions) -> CudaOpening:
        return CudaOpening(path, options, self.operators, Stream(Driver()))

    def _opened(
        self, opening: Opening, session: Any, traces: TemporaryFolder | None, started: int | None
    ) -> OnnxCudaSession:
        assert isinstance(opening, CudaOpening)
        return OnnxCudaSession(opening, session, traces, started, self.on_processor)


@dataclass(frozen=True)
class CudaOpening(Opening):
    """All that a graph is opened with on a card: also the stream that its calls go into."""

    stream: Stream | None = None

    @property
    def providers(self) -> list[Any]:
        """Return the provider for CUDA and its settings, and that for shapes, the processor's."""
        settings = {"device_id": "0", "use_tf32": "0"}  # which it takes by itself
        if self.stream is not None:  # in which marks can be put that the card's clock passes
            settings["user_compute_stream"] = str(self.stream.handle.value)
        return [(CUDA_PROVIDER, settings), PROVIDER]

    def _made(self, settings: Any) -> Any:
        import onnxruntime

        if (preload := getattr(onnxruntime, "preload_dlls", None)) is not None:
            preload()  # CUDA's and cuDNN's libraries of installed packages
        with card_words():
            session = onnxruntime.InferenceSession(
                str(self.path), settings, providers=self.providers, enable_fallback=0
            )
        if CUDA_PROVIDER not in session.get_providers():
            raise Unavailable(
                f"cuda: ONNX Runtime cannot start its provider for CUDA, as a library of CUDA or "
                f"cuDNN is missing or too old (its log above names it): {_INSTALL}"
            )
        return session


class OnnxCudaSession(OnnxSession):
    """A graph on a card. `run` copies inputs to it and outputs back; `time_bound` does not."""

    def __init__(
        self,
        opening: CudaOpening,
        session: Any,
        traces: TemporaryFolder | None,
        started: int | None,
        on_processor: tuple[str, ...] = (),
    ) -> None:
        super().__init__(opening, session, traces, started)
        self._card, self._on_processor = opening, on_processor

    def run(self, inputs: Inputs) -> Outputs:
        """Return all outputs as host arrays, once the card has finished."""
        with card_words():
            return super().run(inputs)

    def time_bound(self, inputs: Sequence[Inputs], calls: int, seconds: float) -> BoundTimes | None:
        """Return the times of calls whose inputs and outputs stay on the card, by its clock.

        None for a graph with an input that cannot lie there.
        """
        stream = self._card.stream
        kinds = [str(one.type) for one in self._session.get_inputs()]
        if stream is None or not all(k.startswith("tensor(") and "string" not in k for k in kinds):
            return None
        with card_words():
            calls_of = [self._bound(one) for one in inputs]
            for call in calls_of:
                call()
            return timed_by_events(calls_of, stream.event, calls, seconds)

    def _bound(self, inputs: Inputs) -> Callable[[], object]:
        """Return a call whose inputs lie on the card already, and whose outputs stay there."""
        from onnxruntime import OrtValue, RunOptions

        options = RunOptions()
        options.add_run_config_entry(*_NO_WAITING)
        binding = self._session.io_binding()
        for name, array in inputs.items():
            binding.bind_ortvalue_input(name, OrtValue.ortvalue_from_numpy(array, CUDA, 0))
        for output in self._session.get_outputs():
            binding.bind_output(output.name, CUDA, 0)
        return partial(self._session.run_with_iobinding, binding, options)

    def _profiled(
        self, session: Any, optimized: Path, inputs: Sequence[Inputs], calls: int
    ) -> Profile:
        return profile(session, self._path, optimized, inputs, calls, on_card)

    def _told(self, nodes: Nodes, events: list[Event], items: list[EvidenceItem]) -> Evidence:
        check_fallback(nodes, self._on_processor)
        found = launched(events)
        ran = operators(nodes, found)
        kernels = count((one.operator, operator_precision(one)) for one in ran)
        layers = layer_kernels(nodes, Graph(graph_nodes(self._path)), ())
        settings = self._session.get_provider_options().get(CUDA_PROVIDER, {})
        more = (
            EvidenceItem("reported", "setting", "use_tf32", str(settings.get("use_tf32", "?"))),
            *kernel_items(ran, TITLE),
            engine_item(TITLE, kernels),
            precision_item(kernels),
        )
        return Evidence((*items, *more), kernels, with_kernels(layers, nodes, found))


@contextmanager
def card_words() -> Iterator[None]:
    """Tell within the context that the card lacks memory, or this build kernels for the card.

    Source of the cards: microsoft/onnxruntime#31992, of the builds for Linux.
    """
    try:
        yield
    except Exception as error:
        text = str(error)
        if isinstance(error, PerfsuiteError):
            raise
        if any(words in text for words in _OUT_OF_MEMORY):
            raise BuildError(
                f"cuda: the card has too little memory: take a smaller batch, or end what else "
                f"holds memory there ({trimmed(text)})"
            ) from error
        if _NO_KERNELS in text:
            raise Unavailable(
                f"cuda: this build of ONNX Runtime has no kernels for the card: those for CUDA 12 "
                f"have some for sm_60 to sm_120, those for CUDA 13 for sm_75 and newer ones; for "
                f"older cards take pytorch ({trimmed(text)})"
            ) from error
        raise
