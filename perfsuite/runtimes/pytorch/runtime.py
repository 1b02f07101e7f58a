"""Eager PyTorch on the processor: the reference, as it runs before any optimization."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from perfsuite.domain.profile import Profile
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, SchemaError, Unsupported
from perfsuite.runtimes.pytorch.profile import profile
from perfsuite.runtimes.shared.base import BaseSession, artifact_file, trimmed, versions
from perfsuite.runtimes.shared.precision import count, precision_item

if TYPE_CHECKING:
    import torch
    from torch import nn

WEIGHTS = "weights.safetensors"
# Views and allocations, which do no arithmetic and are left out of the evidence.
_BOOKKEEPING = frozenset(
    f"aten::{name}"
    for name in (
        "as_strided", "as_strided_", "contiguous", "copy_", "detach", "empty", "empty_like",
        "empty_strided", "expand", "permute", "reshape", "resize_", "resolve_conj", "resolve_neg",
        "select", "slice", "t", "to", "transpose", "unsqueeze", "squeeze", "view", "alias",
    )
)  # fmt: skip


class PyTorch:
    """Runs the module itself; the artifact holds its weights."""

    name: ClassVar[str] = "pytorch"
    takes: ClassVar[str] = "module"
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    precisions: ClassVar[tuple[str, ...]] = ("fp32", "bf16")

    def probe(self) -> dict[str, str]:
        """Return the version, or raise `Unavailable`."""
        return versions("torch", ("torch",), "pip install torch torchvision")

    def quantized_graphs(self, device: str) -> None:
        """Return None, as it runs no graphs."""

    def build(self, variant: Variant, manifest: Manifest, folder: Path) -> None:
        """Write the module's weights and buffers; shared tensors are written once."""
        from safetensors.torch import save_model

        if variant.quantized:
            raise Unsupported(
                "pytorch takes torch modules, and a quantized graph is an ONNX graph; take a "
                "runtime that takes graphs"
            )
        if variant.rebuild is None:
            raise Unsupported("pytorch takes torch modules, not an ONNX file")
        module = variant.rebuild()
        if not module.state_dict():
            (folder / WEIGHTS).write_bytes(_no_weights())
            return
        try:
            save_model(module, str(folder / WEIGHTS))
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
        _settle(options.threads)
        module = options.rebuild()
        _load(module, path)
        return PyTorchSession(module.eval(), manifest, options)


class PyTorchSession(BaseSession):
    """A module in evaluation mode, in its default memory format."""

    def __init__(self, module: nn.Module, manifest: Manifest, options: SessionOptions) -> None:
        import torch

        self._dtype = torch.bfloat16 if manifest.precision == "bf16" else torch.float32
        self._module: Any = module.to(self._dtype) if self._dtype is torch.bfloat16 else module
        self._names = [spec.name for spec in manifest.inputs]
        self._inspect, self._spans = options.inspect, options.spans
        self._last: Inputs | None = None

    def run(self, inputs: Inputs) -> Outputs:
        """Return the module's tensors, in order, as host arrays; lower precisions as float32."""
        if self._inspect:
            self._last = inputs
        return _call(self._module, [inputs[name] for name in self._names], self._dtype)

    def evidence(self) -> Evidence:
        """Return which operators ran in which precision; with `inspect`, a call is repeated."""
        import torch

        items: list[EvidenceItem] = [
            EvidenceItem("reported", "threads", "intra-op", str(torch.get_num_threads())),
            EvidenceItem("reported", "threads", "inter-op", str(torch.get_num_interop_threads())),
            EvidenceItem(
                "reported",
                "precision",
                "float32 matrix products",
                torch.get_float32_matmul_precision(),
            ),
        ]
        if self._last is None:
            return Evidence(tuple(items))
        kernels = count(self._trace(self._last))
        return Evidence((*items, precision_item(kernels)), kernels)

    def profile(self, inputs: Sequence[Inputs], calls: int) -> Profile:
        """Return times, MACs and bytes of all operators, by the module that calls them."""
        if not self._inspect:
            return super().profile(inputs, calls)
        return profile(self._module, self.run, self._spans, inputs, calls)

    def close(self) -> None:
        """Free the module."""
        self._module = self._last = None

    def _trace(self, inputs: Inputs) -> Iterator[tuple[str, str]]:
        import torch
        from torch.profiler import ProfilerActivity

        with torch.profiler.profile(activities=[ProfilerActivity.CPU], record_shapes=True) as trace:
            self.run(inputs)
        assert trace.profiler is not None and trace.profiler.kineto_results is not None
        yield from _kernels(trace.profiler.kineto_results.events())


def run_module(module: nn.Module, inputs: Inputs) -> Outputs:
    """Return what `module` answers in evaluation mode and IEEE single precision."""
    import torch

    _ieee()
    return _call(module.eval(), list(inputs.values()), torch.float32)


def _call(module: nn.Module, inputs: Sequence[np.ndarray], dtype: torch.dtype) -> Outputs:
    import torch

    tensors = [torch.from_numpy(value) for value in inputs]
    if dtype is not torch.float32:
        tensors = [t.to(dtype) if t.is_floating_point() else t for t in tensors]
    with torch.inference_mode():
        answer = module(*tensors)
    return [_host(tensor) for tensor in _leaves(answer)]


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


def _settle(threads: int) -> None:
    """Set threads and precision."""
    import torch

    torch.set_num_threads(threads)
    if torch.get_num_interop_threads() != 1:
        # Only possible before the first parallel call of a process; eager code makes none.
        with contextlib.suppress(RuntimeError):
            torch.set_num_interop_threads(1)
    _ieee()


def _ieee() -> None:
    """Make fp32 IEEE single precision, so that oneDNN does not use bf16 for it."""
    import torch

    torch.set_float32_matmul_precision("highest")
    torch.backends.mkldnn.conv.fp32_precision = "ieee"  # type: ignore[attr-defined]
    torch.backends.mkldnn.matmul.fp32_precision = "ieee"  # type: ignore[attr-defined]


def _load(module: nn.Module, path: Path) -> None:
    from safetensors import SafetensorError
    from safetensors.torch import load_model

    if not module.state_dict():
        return
    try:
        load_model(module, str(path), strict=True)
    except (SafetensorError, RuntimeError, OSError) as error:
        raise SchemaError(
            f"{path}: these weights do not fit {type(module).__name__} or are corrupt "
            f"({trimmed(str(error))}); build the artifact again"
        ) from error


def _no_weights() -> bytes:
    from safetensors.numpy import save

    return bytes(save({}))


def _leaves(answer: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors of nested tuples, lists and dictionaries, in their order."""
    if isinstance(answer, Mapping):
        answer = list(answer.values())
    if isinstance(answer, list | tuple):
        for part in answer:
            yield from _leaves(part)
    elif answer is not None:
        yield answer


def _host(tensor: torch.Tensor) -> np.ndarray:
    import torch

    if tensor.dtype in (torch.bfloat16, torch.float16):
        tensor = tensor.float()
    array: np.ndarray = tensor.numpy()
    return array
