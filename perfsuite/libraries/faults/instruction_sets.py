"""Instruction sets that are capped, or below what the processor has; INT8 without VNNI."""

from __future__ import annotations

from collections.abc import Iterator

from perfsuite.domain.finding import Finding
from perfsuite.libraries.facts import Facts
from perfsuite.libraries.settings import CAPS
from perfsuite.libraries.vectors import (
    VECTORS,
    has_vnni,
    onednn_best,
    onednn_cap,
    onednn_has_vnni,
    vectors_in,
    vectors_of,
)

INT8_WITHOUT_VNNI = "int8-without-vnni"
BASELINE = "baseline"  # what every processor of this kind has
_NARROWER = (
    "quantize the model again with weights of 7 bits, as onnxruntime.quantization does with "
    "reduce_range = True"
)
ONEDNN_CAPS = ("ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA")


def faults(facts: Facts) -> Iterator[Finding]:
    """Yield what keeps libraries from the processor's best instruction set."""
    if facts.is_x86:
        yield from _capped(facts)
        yield from _low(facts)
        yield from _int8(facts)


def caps(facts: Facts) -> dict[str, str]:
    """Return the variables that take vectors from a library that is in use, to what they leave."""
    best = vectors_of(facts.flags)
    if best is None:
        return {}
    found = {}
    is_intel = "Intel" in facts.environment.must_match.processor
    for name, value in facts.said("setting").items():
        left: int | None = None
        if name in ONEDNN_CAPS and facts.shows("oneDNN"):
            left = vectors_in(value) if onednn_cap(value) is not None else None
        elif name == "ATEN_CPU_CAPABILITY" and facts.shows("PyTorch"):
            left = 0 if value.lower() == "default" else vectors_in(value)
        elif name == "MKL_ENABLE_INSTRUCTIONS" and facts.shows("MKL"):
            left = vectors_in(value) if is_intel else None
        elif name == "MKL_CBWR" and facts.shows("MKL"):
            # Other processors than Intel's know this branch alone; it takes SSE2.
            branch = value.upper().removeprefix("BRANCH=").partition(",")[0].strip()
            left = 0 if branch == "COMPATIBLE" else vectors_in(branch) if is_intel else None
        if left is not None and left < best:
            found[name] = VECTORS[left]
    return found


def _capped(facts: Facts) -> Iterator[Finding]:
    best = VECTORS[vectors_of(facts.flags) or 0]
    values = facts.said("setting")
    capped = caps(facts)
    for name, left in capped.items():
        whose = CAPS[name]
        yield Finding(
            "instruction-set-capped",
            whose,
            f"{name}={values[name]} keeps {whose} to {left}, and the processor has {best}",
            f"unset {name}",
            "observed",
        )
    for name in ONEDNN_CAPS:
        cap = onednn_cap(values.get(name, ""))
        if name in capped or cap is None or not facts.shows("oneDNN"):
            continue
        if cap < onednn_best(facts.flags):
            yield Finding(
                "instruction-set-capped",
                "oneDNN",
                f"{name}={values[name]} keeps oneDNN from instructions that this processor has for "
                f"low precisions",
                f"unset {name}",
                "observed",
                "caution",
            )


def _low(facts: Facts) -> Iterator[Finding]:
    """Yield libraries that took less than the processor has, though nothing caps them."""
    best = vectors_of(facts.flags)
    capped = {CAPS[name] for name in caps(facts)}
    for item in facts.evidence.items:
        if item.about != "instruction set" or item.name in (*capped, "MKL", "OpenBLAS"):
            continue
        taken = vectors_in(item.value)
        if item.value == BASELINE:
            taken = 0
        if best is not None and taken is not None and taken < best:
            yield Finding(
                "instruction-set-low",
                item.name,
                f"{item.name} takes {item.value}, and the processor has {VECTORS[best]}",
                f"install a newer {item.name}, or one that is built for this processor; for a few "
                f"small layers the narrower kernels may be the better ones",
                item.how,
                "fault" if taken == 0 and best >= 2 else "caution",
            )


def _int8(facts: Facts) -> Iterator[Finding]:
    if not facts.rounds_to_8_bits or facts.device != "cpu":
        return
    portable = "make the weights fit everywhere: `portable = true` in the int8 pass"
    if facts.already:
        portable = _NARROWER
    if not has_vnni(facts.flags):
        overflows = facts.portable is False
        yield Finding(
            INT8_WITHOUT_VNNI,
            facts.runtime,
            "the processor has no VNNI: it adds products of 8 bits in 16 bits, "
            + (
                "which overflow with these weights, so that answers are wrong"
                if overflows
                else "which takes more instructions, so that INT8 gains less than elsewhere"
            ),
            portable if overflows else "measure whether INT8 is faster than fp32 here",
            "inferred",
            "fault" if overflows else "caution",
        )
        return
    values = facts.said("setting")
    for name in ONEDNN_CAPS:
        cap = onednn_cap(values.get(name, ""))
        if cap is None or onednn_has_vnni(cap) or not facts.shows("oneDNN"):
            continue
        fits = facts.portable is True
        yield Finding(
            INT8_WITHOUT_VNNI,
            facts.runtime,
            f"{name}={values[name]} takes VNNI away: oneDNN adds products of 8 bits in 16 bits"
            + (
                "" if fits else ", which overflow with weights of 8 bits, so that answers are wrong"
            ),
            f"unset {name}" if fits else f"unset {name}; or {portable}",
            "observed",
            "caution" if fits else "fault",
        )
