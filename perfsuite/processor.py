"""What the processor is, as the kernel tells it.

It lies below the tables, because the environment of a run and the engines both ask. Sources:
proc(5); the kernel's ABI documents for /sys/devices/system/cpu.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from perfsuite.domain.device import PROCESSOR, DeviceIdentity

PROC = Path("/proc")
SYS = Path("/sys")

# Instruction sets that decide which kernels an engine picks.
FEATURES = (
    *("sse4_1", "sse4_2", "avx", "avx2", "fma", "f16c", "avx_vnni"),
    *("avx512f", "avx512bw", "avx512vl", "avx512dq", "avx512_vnni", "avx512_bf16", "avx512_fp16"),
    *("avx512_vpopcntdq", "avx512_bitalg", "amx_tile", "amx_int8", "amx_bf16", "amx_fp16"),
    *("asimd", "asimdhp", "asimddp", "sve", "sve2", "i8mm", "bf16", "sme"),
)


# The best of each kind is what speaks for a processor: of vectors, then of sums of 8-bit products
# (VNNI, or ARM's dot product), of matrices, and of bfloat16.
_KINDS = (
    (
        ("AVX-512", ("avx512f",)),
        ("AVX2", ("avx2",)),
        ("AVX", ("avx",)),
        ("SSE4.2", ("sse4_2",)),
        ("SVE", ("sve", "sve2")),
        ("NEON", ("asimd",)),
    ),
    (("VNNI", ("avx512_vnni", "avx_vnni")), ("dot product", ("asimddp",))),
    (("AMX", ("amx_int8", "amx_bf16", "amx_tile")), ("SME", ("sme",)), ("i8mm", ("i8mm",))),
    (("bf16", ("avx512_bf16", "amx_bf16", "bf16")),),
)


def best_instruction_sets(features: Collection[str]) -> tuple[str, ...]:
    """Return people's names of the best instruction sets among the flags of a processor.

    They are those that the speed of a net depends on: `("AVX-512", "VNNI", "bf16")`.
    """
    return tuple(
        best
        for kind in _KINDS
        if (best := next((name for name, flags in kind if set(flags) & set(features)), ""))
    )


@dataclass(frozen=True)
class Processor:
    """The first processor. Numbers are -1 where the kernel gives none."""

    name: str  # vendor and model name
    family: int
    model: int
    stepping: int
    flags: tuple[str, ...]  # as the kernel spells them, sorted
    caches_bytes: dict[str, int]  # such as {"L1d": 32768, "L2": 1048576}

    @property
    def features(self) -> tuple[str, ...]:
        """Return those of `FEATURES` that it has, sorted."""
        return tuple(sorted(set(FEATURES).intersection(self.flags)))

    @property
    def identity(self) -> DeviceIdentity:
        """Return its identity as a device."""
        return DeviceIdentity(PROCESSOR, self.name, self.features)


def read_processor(*, proc: Path = PROC, sys: Path = SYS) -> Processor:
    """Return what the files under `proc` and `sys` say of this machine's processor."""
    info = _cpuinfo(proc)
    return Processor(
        name=_name(info),
        family=_number(info.get("cpu family") or info.get("CPU architecture")),
        model=_number(info.get("model") or info.get("CPU part")),
        stepping=_number(info.get("stepping") or info.get("CPU revision")),
        flags=_flags(info),
        caches_bytes=_caches_bytes(sys),
    )


def _cpuinfo(proc: Path) -> dict[str, str]:
    """Return the fields of the first processor; none where there is no /proc."""
    fields: dict[str, str] = {}
    for line in text_of(proc / "cpuinfo").splitlines():
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip(), value.strip())
    return fields


def _name(info: dict[str, str]) -> str:
    """Return vendor and model name; ARM kernels give numbers instead of names."""
    names = [info.get("vendor_id", ""), info.get("model name", "")]
    if not any(names) and "CPU implementer" in info:
        names = [f"implementer {info['CPU implementer']}", f"part {info.get('CPU part', '?')}"]
    return " ".join(name for name in names if name) or platform.processor() or platform.machine()


def _flags(info: dict[str, str]) -> tuple[str, ...]:
    return tuple(sorted(set((info.get("flags") or info.get("Features") or "").split())))


def _number(text: str | None) -> int:
    """Return a decimal or hexadecimal number, or -1 where the kernel gives none."""
    try:
        return int(text or "", 0)
    except ValueError:
        return -1


def _caches_bytes(sys: Path) -> dict[str, int]:
    """Return the size of each cache that the first processor sees, such as {"L1d": 32768}."""
    caches: dict[str, int] = {}
    for folder in sorted((sys / "devices/system/cpu/cpu0/cache").glob("index*")):
        level, size = text_of(folder / "level").strip(), text_of(folder / "size").strip()
        found = re.fullmatch(r"(\d+)([KMG]?)", size)
        if level and found:
            kind = {"Data": "d", "Instruction": "i"}.get(text_of(folder / "type").strip(), "")
            unit = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[found[2]]
            caches[f"L{level}{kind}"] = int(found[1]) * unit
    return caches


def text_of(path: Path) -> str:
    """Return a file's text, or nothing: most of these files exist on some systems only."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return ""
