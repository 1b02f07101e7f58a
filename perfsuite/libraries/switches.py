"""What can be turned off, capped or emulated in the processes of a cell, one line a switch.

What a library is worth is measured by a process without it. A switch takes effect before anything
loads: by environment variables that libraries read then, by a call before the artifact opens, by
how the engine opens it, or by a command that emulates another processor.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from perfsuite.domain.cell import Cell
from perfsuite.errors import ConfigError, Unavailable, Unsupported
from perfsuite.plugins import suggestion

_TORCH = ("pytorch", "pytorch-channels-last")
_ON_CARDS = (*_TORCH, "pytorch-cuda-graphs", "torch-compile")


@dataclass(frozen=True, kw_only=True)
class Switch:
    """One thing that is turned off or capped: whose (`library`), and what is done (`title`).

    It is for `runtimes`, or any, on `device`, in `precisions` if given, and for processors with one
    of the flags in `above`, which a cap hides: without any there is nothing to be capped. What only
    kernels of one kind use is `only_for` these: "int8" or "bf16". `environment` is set before the
    process starts, `call` is called in it before the artifact opens, `options` are fields of the
    `SessionOptions` that it opens with. `emulator` is the command that runs the interpreter: what
    is answered then counts, and times say nothing.
    """

    library: str
    title: str
    runtimes: tuple[str, ...] = ()
    device: str = "cpu"
    precisions: tuple[str, ...] = ()
    above: tuple[str, ...] = ()
    only_for: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    call: Callable[[], None] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    emulator: tuple[str, ...] = ()

    @property
    def digest(self) -> str:
        """Return the text that changes when what the switch does may have changed."""
        called = self.call.__name__ if self.call else ""
        return json.dumps(
            [dict(self.environment), called, dict(self.options), self.emulator], sort_keys=True
        )


def _onednn_off() -> None:
    import torch

    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]


def _cudnn_off() -> None:
    import torch

    torch.backends.cudnn.enabled = False


def _cudnn_benchmark() -> None:
    import torch

    torch.backends.cudnn.benchmark = True


def _onednn(isa: str, title: str, above: tuple[str, ...], only_for: str = "") -> Switch:
    """Return a cap on oneDNN's kernels; OpenVINO has its own copy, which reads the same."""
    return Switch(
        library="oneDNN",
        title=f"capped at {title}",
        runtimes=(*_TORCH, "openvino"),
        above=above,
        only_for=only_for,
        environment={"ONEDNN_MAX_CPU_ISA": isa},
    )


def _torch(library: str, title: str, above: tuple[str, ...], **environment: str) -> Switch:
    return Switch(
        library=library, title=title, runtimes=_TORCH, above=above, environment=environment
    )


_AMX = ("amx_tile", "avx512_fp16")
_MORE_THAN_AVX2 = ("avx512f",)

SWITCHES: dict[str, Switch] = {
    "onednn-off": Switch(library="oneDNN", title="off", runtimes=_TORCH, call=_onednn_off),
    "onednn-bf16": _onednn("AVX512_CORE_BF16", "AVX-512 bf16", _AMX),
    "onednn-vnni": _onednn("AVX512_CORE_VNNI", "AVX-512 VNNI", ("avx512_bf16",), "bf16"),
    "onednn-avx512": _onednn("AVX512_CORE", "AVX-512", ("avx512_vnni",), "int8"),
    "onednn-avx2": _onednn("AVX2", "AVX2", ("avx512f", "avx_vnni")),
    "onednn-sse41": _onednn("SSE41", "SSE4.1", ("avx", "avx2")),
    "mkl-avx2": _torch("MKL", "capped at AVX2", _MORE_THAN_AVX2, MKL_ENABLE_INSTRUCTIONS="AVX2"),
    "mkl-sse42": _torch("MKL", "capped at SSE4.2", ("avx",), MKL_ENABLE_INSTRUCTIONS="SSE4_2"),
    # MKL obeys the two above on Intel's processors alone, and this everywhere.
    "mkl-compatible": _torch(
        "MKL", "on its path for any processor", ("sse4_2",), MKL_CBWR="COMPATIBLE"
    ),
    "aten-avx2": _torch("PyTorch", "capped at AVX2", _MORE_THAN_AVX2, ATEN_CPU_CAPABILITY="avx2"),
    "aten-default": _torch(
        "PyTorch", "without AVX2 and AVX-512", ("avx2",), ATEN_CPU_CAPABILITY="default"
    ),
    "channels-last": Switch(
        library="PyTorch",
        title="channels last",
        runtimes=("pytorch",),
        options={"channels_last": True},
    ),
    "channels-first": Switch(
        library="PyTorch",
        title="channels first",
        runtimes=("pytorch-channels-last",),
        options={"channels_last": False},
    ),
    "unoptimized": Switch(
        library="ONNX Runtime",
        title="graph optimizations off",
        runtimes=("onnxruntime",),
        options={"optimized": False},
    ),
    "one-thread": Switch(
        library="threads",
        title="one thread",
        environment=dict.fromkeys(
            ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"
        ),
        options={"threads": 1},
    ),
    "cudnn-off": Switch(
        library="cuDNN", title="off", runtimes=_ON_CARDS, device="cuda", call=_cudnn_off
    ),
    "cudnn-benchmark": Switch(
        library="cuDNN",
        title="benchmark mode on",
        runtimes=_ON_CARDS,
        device="cuda",
        call=_cudnn_benchmark,
    ),
    "tf32-off": Switch(
        library="cuBLAS and cuDNN",
        title="TF32 off",
        runtimes=_ON_CARDS,
        device="cuda",
        precisions=("tf32",),
        environment={"NVIDIA_TF32_OVERRIDE": "0"},
    ),
    # A processor with AVX2 and without AVX-512, of 2013.
    "qemu-haswell": Switch(
        library="processor",
        title="emulated Haswell (AVX2)",
        emulator=("qemu-x86_64", "-cpu", "Haswell"),
    ),
}
_EMULATED_BY = {"qemu-x86_64": "apt-get install qemu-user"}


def switch_named(name: str) -> Switch:
    """Return the switch of this name; raise `ConfigError`, with a suggestion, for none."""
    try:
        return SWITCHES[name]
    except KeyError:
        raise ConfigError(f"unknown switch '{name}'{suggestion(name, SWITCHES)}") from None


def switch_of(cell: Cell) -> Switch | None:
    """Return the switch of a cell, None of one without; raise `ConfigError` for an unknown one."""
    return switch_named(cell.switch) if cell.switch else None


def why_not_for(name: str, cell: Cell) -> str:
    """Return why a switch is not for such a cell, on whatever machine; empty if it is."""
    switch = switch_named(name)
    if switch.runtimes and cell.runtime not in switch.runtimes:
        return f"it is for {', '.join(switch.runtimes)}, not for {cell.runtime}"
    if cell.device != switch.device:
        return f"it is for the device {switch.device}, not for {cell.device}"
    if switch.precisions and cell.precision not in switch.precisions:
        return f"it is for {', '.join(switch.precisions)}, not for {cell.precision}"
    return ""


def why_not(name: str, cell: Cell, flags: Collection[str]) -> str:
    """Return why a switch changes nothing of a cell on a processor with these flags, or empty."""
    if reason := why_not_for(name, cell):
        return reason
    switch = switch_named(name)
    if switch.above and not set(switch.above) & set(flags):
        return f"this processor has no {' and no '.join(switch.above)}, which it would hide"
    if switch.options.get("threads") == 1 and cell.threads == 1:
        return "the cell has one thread already"
    return ""


def check_switch(cell: Cell, flags: Collection[str]) -> None:
    """Raise unless the switch of a cell can take effect on this machine.

    `ConfigError` for one that does not exist, `Unsupported` for one that does not concern the cell,
    and `Unavailable`, with what to install, where its emulator is missing.
    """
    switch = switch_of(cell)
    if switch is None:
        return
    if reason := why_not(cell.switch, cell, flags):
        raise Unsupported(f"{cell.key}: the switch {cell.switch} changes nothing here: {reason}")
    for command in switch.emulator[:1]:
        if shutil.which(command) is None:
            hint = _EMULATED_BY.get(command, f"put {command} on the PATH")
            raise Unavailable(f"{cell.key}: there is no {command}, which emulates it: {hint}")
