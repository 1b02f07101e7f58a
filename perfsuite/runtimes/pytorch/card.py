"""An NVIDIA card as PyTorch sees it: whether it is there, which one it is, and its clock."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.record import EvidenceItem
from perfsuite.errors import BuildError, Unavailable
from perfsuite.export.calls import tensor_of
from perfsuite.runtimes.shared.base import trimmed
from perfsuite.runtimes.shared.cuda_driver import CUDA, IN_USE
from perfsuite.runtimes.shared.device_clock import Event

if TYPE_CHECKING:
    import torch
    from torch import nn

_CPU_BUILD = (
    "this torch is built for the processor alone; install one for CUDA: "
    "pip install torch torchvision --index-url https://download.pytorch.org/whl/cu130"
)
_NO_DRIVER = (
    "torch finds no NVIDIA card that it can use (`nvidia-smi` must list one, and in a container it "
    "must be passed on, as by `docker run --gpus all`)"
)
_NO_KERNELS = "no kernel image"  # in CUDA's word for code that was compiled for other cards
# The last builds for cards before sm_75, which CUDA 13 has left.
# Source: PyTorch's RELEASE.md (CUDA support matrix) and pytorch/pytorch#190385.
_TURING = (7, 5)
_FOR_OLD_CARDS = (
    "pip install 'torch<2.15' torchvision --index-url https://download.pytorch.org/whl/cu126"
)
_OUT_OF_MEMORY = re.compile(
    r"(CUDA|HIP)\b.*\bout of memory|(CUBLAS|CUDNN)_STATUS_\w*ALLOC\w*_FAILED", re.IGNORECASE
)


def require_card() -> None:
    """Raise `Unavailable`, with what to install or change, unless torch can use a card."""
    import torch

    if torch.version.cuda is None:
        raise Unavailable(f"cuda: {_CPU_BUILD}")
    if not torch.cuda.is_available():
        raise Unavailable(f"cuda: {_NO_DRIVER}{_why()}")
    try:
        with card_memory():
            (torch.zeros(1, device=CUDA) + 1).item()  # which shows that it has kernels for the card
    except RuntimeError as error:
        said = str(error)
        if "busy or unavailable" in said or "exclusive" in said.lower():
            raise Unavailable(f"cuda: {IN_USE}") from error
        why = _other_build() if _NO_KERNELS in said else trimmed(said)
        raise Unavailable(
            f"cuda: {torch.cuda.get_device_name(0)} cannot be used with torch "
            f"{torch.__version__}: {why}"
        ) from error


def capability() -> str:
    """Return the compute capability of the card, such as sm_90."""
    import torch

    major, minor = torch.cuda.get_device_capability(0)
    return f"sm_{major}{minor}"


def _other_build() -> str:
    """Return for which cards this torch has kernels, and what to install for the one that is here.

    A kernel runs on cards of its own major version and a minor one that is not lower.
    """
    import torch

    known = ", ".join(torch.cuda.get_arch_list())
    is_old = torch.cuda.get_device_capability(0) < _TURING
    install = _FOR_OLD_CARDS if is_old else "pip install --upgrade torch torchvision"
    return f"the card has {capability()}, and it has kernels for {known}; {install}"


def _why() -> str:
    """Return what CUDA says when it is started, such as that the driver is too old."""
    import torch

    try:
        torch.cuda.init()  # type: ignore[no-untyped-call]
    except (RuntimeError, AssertionError) as error:
        return f": {trimmed(str(error))}"
    return ""


def identity() -> DeviceIdentity:
    """Return which card it is; raise `Unavailable` without one."""
    import torch

    require_card()
    found = torch.cuda.get_device_properties(0)
    return DeviceIdentity(
        CUDA,
        found.name,
        (f"sm_{found.major}{found.minor}",),
        {
            "memory": f"{found.total_memory / 2**30:.0f} GiB",
            "multiprocessors": str(found.multi_processor_count),
        },
    )


def new_event() -> Event:
    """Return one of CUDA's."""
    import torch

    event: Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    return event


@dataclass(frozen=True)
class Placement:
    """Where tensors lie, and how: on which device, in which precision and memory format."""

    device: str
    precision: str
    channels_last: bool

    @property
    def dtype(self) -> torch.dtype:
        """Return the type of floating-point numbers; TF32 is a way to multiply float32."""
        import torch

        return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.precision, torch.float32)

    def module(self, module: nn.Module) -> nn.Module:
        """Return the module, moved there; one that stays as it is is not touched."""
        import torch

        if self.device == CUDA:
            module = module.to(CUDA)
        if self.dtype is not torch.float32:
            module = module.to(self.dtype)
        if self.channels_last:
            module = module.to(memory_format=torch.channels_last)
        return module

    def tensor(self, array: np.ndarray) -> torch.Tensor:
        """Return an input, moved there; floating-point numbers are rounded there."""
        import torch

        tensor = tensor_of(array)
        if self.device == CUDA:
            tensor = tensor.to(CUDA)
        if tensor.is_floating_point() and self.dtype is not torch.float32:
            tensor = tensor.to(self.dtype)
        if self.channels_last and tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=torch.channels_last)
        return tensor

    def wait(self) -> None:
        """Return once the device has nothing left to do."""
        import torch

        if self.device == CUDA:
            torch.cuda.synchronize()


@contextmanager
def card_memory() -> Iterator[None]:
    """Tell a lack of the card's memory in words, within the context.

    It is torch's own error where its allocator finds out, else one of CUDA, cuBLAS or cuDNN.
    """
    try:
        yield
    except RuntimeError as error:
        if not _OUT_OF_MEMORY.search(str(error)):
            raise
        raise BuildError(
            f"cuda: the card has too little memory: take a smaller batch, or end what else holds "
            f"memory there ({trimmed(str(error))})"
        ) from error


def cudnn_version() -> str:
    """Return cuDNN's version as torch tells it, or why it is not for a card of this machine."""
    import torch

    cudnn: Any = torch.backends.cudnn
    try:
        return str(cudnn.version())
    except RuntimeError as error:
        return trimmed(str(error))


def card_items() -> tuple[EvidenceItem, ...]:
    """Return what torch reports of the card, its libraries and their precision."""
    import torch

    backends: Any = torch.backends
    cudnn = backends.cudnn
    return (
        EvidenceItem("reported", "version", "CUDA", str(torch.version.cuda)),
        EvidenceItem("reported", "version", "cuDNN", cudnn_version()),
        EvidenceItem("reported", "setting", "compute capability", capability()),
        EvidenceItem("reported", "precision", "float32 convolutions", cudnn.conv.fp32_precision),
        EvidenceItem(
            "reported", "precision", "float32 products on cuda", backends.cuda.matmul.fp32_precision
        ),
    )
