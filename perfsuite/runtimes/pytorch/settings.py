"""The switches of this process that decide which kernels PyTorch takes, as they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from perfsuite.domain.record import EvidenceItem

_SMALLEST = 1.1754944e-38  # of the float32 values that are not denormal


def settings(*, on_card: bool) -> Iterator[EvidenceItem]:
    """Yield the switches of the processor or, in addition, those of a card."""
    import torch

    backends: Any = torch.backends
    yield _switch("mkldnn.enabled", backends.mkldnn.is_available() and backends.mkldnn.enabled)
    yield _switch("deterministic algorithms", torch.are_deterministic_algorithms_enabled())
    if not on_card:
        yield _switch("flush denormals", _flushes())
        return
    for name in ("enabled", "benchmark", "deterministic"):
        yield _switch(f"cudnn.{name}", getattr(backends.cudnn, name))
    # Where they were set by these names, torch refuses to tell them by `allow_tf32`.
    for name, part in (("matmul", backends.cuda.matmul), ("cudnn.conv", backends.cudnn.conv)):
        precision = str(part.fp32_precision)
        yield EvidenceItem("reported", "setting", f"{name} fp32 precision", precision)


def _switch(name: str, value: object) -> EvidenceItem:
    return EvidenceItem("reported", "setting", name, "on" if value else "off")


def _flushes() -> bool:
    """Tell whether this thread gives zero where a result is denormal (torch has no word for it)."""
    import torch

    return bool((torch.tensor([_SMALLEST]) * 0.25).item() == 0.0)
