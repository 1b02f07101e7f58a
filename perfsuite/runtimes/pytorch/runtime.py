"""Eager PyTorch, on the processor or a card: the reference, as it runs before any optimization."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from perfsuite.domain.device import PROCESSOR, DeviceIdentity
from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.profile import Profile, Roofline
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.runtime import BoundTimes, Manifest, SessionOptions, Variant
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, SchemaError, Unsupported
from perfsuite.export.calls import Caller, caller, copies, evaluated, tensors_in
from perfsuite.export.state import load, storable
from perfsuite.export.wrappers import eagerly, stay_eager
from perfsuite.processor import read_processor
from perfsuite.runtimes.pytorch.card import (
    Placement,
    capability,
    card_items,
    card_memory,
    identity,
    new_event,
    require_card,
)
from perfsuite.runtimes.pytorch.layers import card_layers, layer_kernels, seen_items, weights_item
from perfsuite.runtimes.pytorch.marked_call import watched
from perfsuite.runtimes.pytorch.profile import activities, paths_of, profile, scoped
from perfsuite.runtimes.pytorch.roofline import card_roofline
from perfsuite.runtimes.pytorch.settings import settings
from perfsuite.runtimes.pytorch.trace import SCOPE, launched
from perfsuite.runtimes.shared.base import artifact_file, trimmed, versions
from perfsuite.runtimes.shared.cuda_driver import CUDA, require_precision
from perfsuite.runtimes.shared.device_clock import timed_by_events
from perfsuite.runtimes.shared.kernel_names import kernel_items, operator_precision
from perfsuite.runtimes.shared.module_session import ModuleSession
from perfsuite.runtimes.shared.precision import count, engine_item, precision_item

if TYPE_CHECKING:
    import torch
    from torch import nn

WEIGHTS = "weights.safetensors"
ON_PROCESSOR = ("fp32", "bf16")  # the precisions that the processor has
# Views and allocations, which do no arithmetic and are left out of the evidence.
_BOOKKEEPING = frozenset(
    f"aten::{name}"
    for name in (
        "as_strided", "as_strided_", "contiguous", "copy_", "detach", "empty", "empty_like",
        "empty_strided", "expand", "permute", "reshape", "resize_", "resolve_conj", "resolve_neg",
        "select", "slice", "t", "to", "transpose", "unsqueeze", "squeeze", "view", "alias",
        "lift_fresh", "_nnpack_available",
    )
)  # fmt: skip


class PyTorch:
    """Runs the module itself; needs torch, and on a card one that is built for CUDA."""

    name: ClassVar[str] = "pytorch"
    takes: ClassVar[str] = "module"
    devices: ClassVar[tuple[str, ...]] = (PROCESSOR, CUDA)
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "bf16", "tf32", "fp16")
    channels_last: ClassVar[bool] = False

    def probe(self) -> dict[str, str]:
        """Return the version, or raise `Unavailable`."""
        return versions("torch", ("torch",), "pip install torch torchvision")

    def require(self, device: str, precision: str) -> None:
        """Raise `Unavailable` without a card that can, `Unsupported` for what only a card can."""
        if device == CUDA:
            require_card()
            require_precision(precision, capability())
        elif precision not in ON_PROCESSOR:
            raise Unsupported(
                f"{self.name}: precision '{precision}' is for '{CUDA}'; on '{device}' it has "
                f"{', '.join(ON_PROCESSOR)}"
            )

    def identify(self, device: str) -> DeviceIdentity:
        """Return which processor or card it is; raise `Unavailable` without a card."""
        return identity() if device == CUDA else read_processor().identity

    def roofline(self, device: str, precision: str) -> Roofline:
        """Return the card's peaks, measured with torch's own products and copies."""
        require_card()
        settle_card_precision(precision)
        return card_roofline(precision)

    def quantized_graphs(self, device: str) -> None:
        """Return None, as it runs no graphs."""

    def build(self, variant: Variant, manifest: Manifest, folder: Path) -> None:
        """Write the module's weights and buffers; shared tensors are written once."""
        from safetensors.torch import save_file

        if variant.quantized:
            raise Unsupported(
                "pytorch takes torch modules, and a quantized graph is an ONNX graph; take a "
                "runtime that takes graphs"
            )
        if variant.rebuild is None:
            raise Unsupported("pytorch takes torch modules, not an ONNX file")
        module = variant.rebuild()
        try:
            save_file(storable(module), folder / WEIGHTS)
        except Exception as error:
            raise BuildError(
                f"the weights of {type(module).__name__} cannot be written as safetensors: "
                f"{trimmed(str(error))}"
            ) from error

    def open(self, folder: Path, manifest: Manifest, options: SessionOptions) -> PyTorchSession:
        """Return a session on the rebuilt module, with the artifact's weights."""
        path = artifact_file(folder, WEIGHTS)
        if options.rebuild is None:
            raise BuildError("pytorch needs the module to open an artifact: SessionOptions.rebuild")
        settle(options.threads)
        if manifest.device == CUDA:
            require_card()
            settle_card_precision(manifest.precision)
        module = options.rebuild()
        stay_eager(True)  # functions, too, that the module's code has compiled
        load_weights(module, path)
        evaluated(module)
        asked = options.channels_last
        last = self.channels_last if asked is None else asked
        return self._session(module, manifest, options, last=last)

    def _session(
        self, module: nn.Module, manifest: Manifest, options: SessionOptions, *, last: bool
    ) -> PyTorchSession:
        return PyTorchSession(module, manifest, options, channels_last=last)


class PyTorchChannelsLast(PyTorch):
    """Runs the module with pictures as tensor cores want them (NHWC); needs what pytorch does."""

    name: ClassVar[str] = "pytorch-channels-last"
    channels_last: ClassVar[bool] = True


class PyTorchSession(ModuleSession):
    """A module in evaluation mode, on the processor or on a card."""

    def __init__(
        self,
        module: nn.Module,
        manifest: Manifest,
        options: SessionOptions,
        *,
        channels_last: bool = False,
    ) -> None:
        self._device = manifest.device
        self._place = Placement(manifest.device, manifest.precision, channels_last)
        with card_memory():
            super().__init__(self._place.module(module))
        self._names = [spec.name for spec in manifest.inputs]
        self._call: Any = caller(self._module, self._names)
        self._inspect, self._spans = options.inspect, options.spans
        self._last: Inputs | None = None
        self._evidence: Evidence | None = None

    def run_in_place(self, inputs: Inputs) -> Outputs:
        """Return the module's tensors, in order, as host arrays; lower precisions as float32."""
        if self._inspect:
            self._last = inputs
        given = [inputs[name] for name in self._names]
        return _answers(self._module, self._call, given, self._place)

    def time_bound(self, inputs: Sequence[Inputs], calls: int, seconds: float) -> BoundTimes | None:
        """Return the times of calls with inputs on the card, by its clock; None without a card."""
        import torch

        if self._device != CUDA or self.shares_memory:  # each call would change what is bound
            return None
        with torch.inference_mode(), card_memory():
            bound = [[self._place.tensor(one[name]) for name in self._names] for one in inputs]
            calls_of = [partial(self._call, tensors) for tensors in bound]
            for call in calls_of:
                call()
            torch.cuda.synchronize()
            return timed_by_events(calls_of, new_event, calls, seconds)

    def evidence(self) -> Evidence:
        """Return which operators ran in which precision; with `inspect`, a call is repeated.

        That is done once, because libraries say what they are once in a process.
        """
        if self._evidence is None:
            found = self._read()
            if self._last is None:
                return found
            self._evidence = found
        return self._evidence

    def profile(self, inputs: Sequence[Inputs], calls: int) -> Profile:
        """Return times, MACs and bytes of all operators, by the module that calls them."""
        if not self._inspect:
            return super().profile(inputs, calls)
        return profile(self._module, self.run, self._spans, inputs, calls, self._device)

    def close(self) -> None:
        """Free the module."""
        stay_eager(False)
        self._module = self._call = self._last = None

    def _read(self) -> Evidence:
        import torch

        items: list[EvidenceItem] = [
            EvidenceItem("reported", "threads", "intra-op", str(torch.get_num_threads())),
            EvidenceItem("reported", "threads", "inter-op", str(torch.get_num_interop_threads())),
        ]
        if self._device == CUDA:
            items += card_items()
        else:
            precision = torch.get_float32_matmul_precision()
            items.append(
                EvidenceItem("reported", "precision", "float32 matrix products", precision)
            )
        items += settings(on_card=self._device == CUDA)
        if self._last is None:
            return Evidence(tuple(items))
        events = self._trace(self._last)
        layers: tuple[LayerKernel, ...] = ()
        if self._device == CUDA:
            ran = launched(events)
            items += kernel_items(ran)
            layers = card_layers(ran)
            kernels = count(
                (one.operator, operator_precision(one))
                for one in ran
                if f"aten::{one.operator}" not in _BOOKKEEPING
            )
        else:
            kernels = count(self._computed(events))
            layers, told = self._watch(self._last)
            items += told
        items.append(engine_item("PyTorch", kernels))
        return Evidence((*items, precision_item(kernels)), kernels, layers)

    def _computed(self, events: Sequence[Any]) -> Iterator[tuple[str, str]]:
        """Yield (operator, data type) of what has computed something on the processor."""
        return _kernels(events)

    def _watch(self, inputs: Inputs) -> tuple[tuple[LayerKernel, ...], list[EvidenceItem]]:
        """Return the kernels of layers, and what else a call shows that is watched from within.

        It tells more than is needed to judge: where the model's code or the process does not bear
        it, the reason stands in its place.
        """
        import torch

        items = [weights_item(self._module)]
        try:
            seen = watched(self._module, self.run, self._spans, inputs)
        except Exception as error:  # noqa: BLE001 - of the model's code, when it is intercepted
            why = f"{type(error).__name__}: {trimmed(str(error))}"
            return (), [*items, EvidenceItem("reported", "layers", "none", why)]
        capability = torch.backends.cpu.get_cpu_capability()
        found = layer_kernels(seen, capability, torch.__config__.show())
        return found, [*items, *seen_items(seen)]

    def _trace(self, inputs: Inputs) -> list[Any]:
        import torch
        from torch.profiler import record_function

        traced = activities(self._device)
        # On a card the names of kernels tell whose they are, and scopes of which layer.
        paths = paths_of(self._module, self._spans) if self._device == CUDA else ()
        with (
            scoped(self._module, paths, lambda path: record_function(SCOPE + path)),
            torch.profiler.profile(activities=traced, record_shapes=True) as trace,
        ):
            self.run(inputs)
        assert trace.profiler is not None and trace.profiler.kineto_results is not None
        return list(trace.profiler.kineto_results.events())


def run_module(module: nn.Module, inputs: Inputs) -> Outputs:
    """Return what `module` answers in evaluation mode and IEEE single precision.

    The answers and the inputs share no memory with the module.
    """
    _ieee()
    call = caller(evaluated(module), list(inputs))
    place = Placement(PROCESSOR, "fp32", False)
    with eagerly():
        found = _answers(module, call, list(copies(inputs).values()), place)
    return [output.copy() for output in found]


def _answers(
    module: nn.Module, call: Caller, inputs: Sequence[np.ndarray], place: Placement
) -> Outputs:
    import torch

    with torch.inference_mode(), card_memory():
        answer = call([place.tensor(value) for value in inputs])
        found = [_host(tensor) for tensor in tensors_in(answer, type(module).__name__)]
        place.wait()
    return found


def _kernels(events: Iterable[Any]) -> Iterator[tuple[str, str]]:
    """Yield (operator, data type) of the innermost operators that compute something."""
    spans = [
        (event.start_ns(), -event.duration_ns(), event)
        for event in events
        if event.name().startswith("aten::") and event.name() not in _BOOKKEEPING
    ]
    spans.sort(key=lambda span: span[:2])
    for index, (start, negative, event) in enumerate(spans):
        inner = index + 1 < len(spans) and spans[index + 1][0] < start - negative
        if not inner:
            types = [t for t in event.dtypes() if t and not t.startswith(("Scalar", "Tensor"))]
            yield event.name().removeprefix("aten::"), types[0] if types else "unknown"


def settle(threads: int) -> None:
    """Set threads, unless 0, and precision."""
    import torch

    if threads:
        torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != 1:
        # Only possible before the first parallel call of a process; eager code makes none.
        with contextlib.suppress(RuntimeError):
            torch.set_num_interop_threads(1)
    _ieee()


def settle_card_precision(precision: str) -> None:
    """Make fp32 IEEE single precision on cards, unless TF32 is asked for; cuDNN takes it by itself.

    Torch has two names for each of these settings, and refuses to tell one by its former name where
    the two differ. torch.export asks for that, and so may the model's code: both are set alike.
    """
    import torch

    tf32 = precision == "tf32"
    backends: Any = torch.backends
    backends.cudnn.allow_tf32 = tf32
    _ieee("high" if tf32 else "highest")
    word = "tf32" if tf32 else "ieee"
    for part in (backends.cuda.matmul, backends.cudnn.conv, backends.cudnn.rnn):
        part.fp32_precision = word


def _ieee(products: str = "highest") -> None:
    """Make fp32 IEEE single precision, so that oneDNN does not use bf16 for it.

    `products` is torch's word for how products may be rounded on a card.
    """
    import torch

    torch.set_float32_matmul_precision(products)
    torch.backends.mkldnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.mkldnn.matmul.fp32_precision = "ieee"  # type: ignore[attr-defined]


def load_weights(module: nn.Module, path: Path) -> None:
    """Give the module its stored weights; raise `SchemaError` where they do not fit."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        load(module, load_file(path))
    except (SafetensorError, RuntimeError, OSError) as error:
        raise SchemaError(
            f"{path}: these weights do not fit {type(module).__name__} or are corrupt "
            f"({trimmed(str(error))}); build the artifact again"
        ) from error


def _host(tensor: torch.Tensor) -> np.ndarray:
    import torch

    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout is not torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_floating_point() and tensor.dtype not in (torch.float32, torch.float64):
        tensor = tensor.float()
    if tensor.is_conj() or tensor.is_neg():
        tensor = tensor.resolve_conj().resolve_neg()
    array: np.ndarray = tensor.cpu().numpy()
    return array
