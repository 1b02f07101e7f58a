"""What our kernels were compiled to, and which of them run."""

from __future__ import annotations

import ctypes
import re
from collections import Counter
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.runtimes.binary.plan import Plan, PlanStep, Steps
from perfsuite.runtimes.binary.target import instruction_set
from perfsuite.runtimes.binary.team import compiled
from perfsuite.runtimes.shared.precision import engine_item, is_layer, precision_item
from perfsuite.runtimes.shared.threads import thread_items

TITLE, LIBRARY = "perfsuite-binary", "perfsuite"
BINARY, REAL = "binary", "fp32"
# How VPOPCNTQ of 512 bits, and VPSHUFB of 512 and of 256 bits are encoded (Intel's manual, volume
# 2): a prefix whose bits name the table of opcodes and the registers' length, then the opcode.
_CODES = {
    "AVX-512 VPOPCNTDQ": re.compile(rb"\x62[\x00-\xff]\xfd[\x40-\x5f]\x55", re.DOTALL),
    "AVX-512": re.compile(rb"\x62[\x00-\xff]{2}[\x40-\x5f]\x00", re.DOTALL),
    "AVX2": re.compile(
        b"\xc4[\x02\x22\x42\x62\x82\xa2\xc2\xe2][%s]\x00"
        % b"".join(b"\\x%02x" % value for value in range(5, 256, 8)),
        re.DOTALL,
    ),
}


def layer_name(step: PlanStep) -> str:
    """Return the node that a step is named after, or what it copies."""
    return step.origins[0] if step.origins else step.source


def precision(step: PlanStep) -> str:
    """Return in what a step computes."""
    return BINARY if step.kind == "binary" else REAL


def evidence(plan: Plan, started: int | None) -> Evidence:
    """Return the kernels of all steps, and what is known of their machine code."""
    steps = [one for part in plan.segments if isinstance(part, Steps) for one in part.steps]
    rest = [one for part in plan.segments if not isinstance(part, Steps) for one in part.nodes]
    kernels = Counter(f"{step.operator} {precision(step)}" for step in steps)
    kernels.update(f"{name.rpartition(' ')[2]} {REAL}" for name in rest)
    found = dict(sorted(kernels.items()))
    machine = compiled()
    items = (
        *thread_items("team", started),
        EvidenceItem("reported", "library", "numba", metadata.version("numba")),
        EvidenceItem("observed", "compiler", "kernels", machine.made),
        _instructions(code_around(machine.run)),
        engine_item(TITLE, found),
        precision_item(found),
        *_rest(rest),
    )
    return Evidence(items, found, (*_layers(steps), *_rest_layers(rest)))


def _instructions(code: bytes) -> EvidenceItem:
    """Return by what bits are counted: observed if the machine code has the instruction."""
    name = instruction_set()
    seen = name in _CODES and _CODES[name].search(code) is not None
    how = "observed" if seen else "inferred"
    return EvidenceItem(how, "instruction set", "population count", name)  # type: ignore[arg-type]


def code_around(address: int) -> bytes:
    """Return the machine code in the part of memory that holds `address`; empty if not known."""
    try:
        parts = Path("/proc/self/maps").read_text().splitlines()  # proc(5)
    except OSError:
        return b""
    for part in parts:
        begin, end = (int(one, 16) for one in part.split()[0].split("-"))
        if begin <= address < end:
            return ctypes.string_at(begin, end - begin)
    return b""


def _rest(nodes: list[str]) -> Iterator[EvidenceItem]:
    if nodes:
        version = metadata.version("onnxruntime")
        value = f"{version}: {', '.join(nodes)}"
        yield EvidenceItem("observed", "library", "ONNX Runtime, for the rest", value[:400])


def _rest_layers(nodes: list[str]) -> Iterator[LayerKernel]:
    for node in nodes:
        name, _, operator = node.rpartition(" ")
        if is_layer(operator):
            yield LayerKernel(name, operator, "", "ONNX Runtime", precision=REAL)


def _layers(steps: list[PlanStep]) -> Iterator[LayerKernel]:
    for step in steps:
        if is_layer(step.operator):
            yield LayerKernel(
                layer_name(step),
                step.operator,
                f"{step.kind} tile",
                LIBRARY,
                instruction_set(),
                precision(step),
            )
