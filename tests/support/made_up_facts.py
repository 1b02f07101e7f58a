"""Facts of a sound machine with two cores, to which a test adds what is wrong."""

from __future__ import annotations

from typing import Any

from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.finding import Finding, LayerKernel
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.libraries.facts import Facts
from perfsuite.libraries.findings import findings

AVX2 = ("avx", "avx2", "fma", "sse2", "sse4_1", "sse4_2")
AVX512 = (*AVX2, "avx512bw", "avx512dq", "avx512f", "avx512vl")
VNNI = (*AVX512, "avx512_bf16", "avx512_vnni")
INTEL, AMD = "GenuineIntel Xeon", "AuthenticAMD EPYC"


def item(about: str, name: str, value: str) -> EvidenceItem:
    """Return an item that was observed."""
    return EvidenceItem("observed", about, name, value)


def layer(path: str, operator: str, kernel: str, library: str, **fields: Any) -> LayerKernel:
    """Return a layer and its kernel."""
    return LayerKernel(path, operator, kernel, library, **fields)


def facts(
    *items: EvidenceItem,
    layers: tuple[LayerKernel, ...] = (),
    kernels: dict[str, int] | None = None,
    flags: tuple[str, ...] = VNNI,
    processor: str = INTEL,
    cores: int = 2,
    quota: float | None = None,
    context: dict[str, str] | None = None,
    **fields: Any,
) -> Facts:
    """Return facts; without `runtime` they are of the machine alone."""
    machine = MustMatch(processor, 6, 1, 1, flags, {}, cores, quota)
    environment = Environment(machine, {}, context or {})
    return Facts(Evidence(items, kernels or {}, layers), environment, **fields)


def found(*items: EvidenceItem, **fields: Any) -> dict[str, Finding]:
    """Return what is found in such facts, by name; each name once."""
    all_of_them = findings(facts(*items, **fields))
    assert len({one.name for one in all_of_them}) == len(all_of_them)
    assert all(one.message and one.fix and one.about for one in all_of_them)
    return {one.name: one for one in all_of_them}
