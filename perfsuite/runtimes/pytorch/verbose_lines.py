"""What a line says that oneDNN or MKL has printed of a call.

Their forms are described in oneDNN's developer guide ("Verbose Mode") and in the oneMKL developer
guide ("Using oneMKL Verbose Mode"). A line of another form says nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from perfsuite.domain.record import EvidenceItem
from perfsuite.runtimes.shared.precision import PRECISIONS

_EXECUTED = re.compile(
    r"(?:onednn|dnnl)_verbose,(?:v\d+,)?(?:[\d.]+,)?(?:primitive,)?exec(?:ute)?,(?P<engine>\w+),"
    r"(?:primitive,)?(?P<kind>\w+),(?P<implementation>[^,]*),(?P<rest>.*)"
)
_ROUTINE = re.compile(r"MKL_VERBOSE (?P<name>[A-Za-z_]\w*)\(")
_SOURCE = re.compile(r"src(?:_layer)?[:_](?P<type>[a-z]+\d\w*):[^:]*:[^:]*:(?P<tag>\w+)")
_LOWERED = re.compile(r"attr-fpmath:(?P<type>bf16|f16|tf32|any)")
_MULTIPLY = re.compile(r"conv|matmul|inner_product|rnn")
# Kernels whose names tell that they multiply in float32, whatever they would be allowed to.
_IN_FLOAT32 = re.compile(
    r"avx512_core(?!_(?:amx|bf16|fp16))|avx2(?!_vnni_2)|sse41|avx$|ref|gemm:jit"
)
# What they say of themselves: about what, who, and how. MKL's conditional numerical reproducibility
# (CNR) is a cap on its kernels, told with every call.
_SAYS = (
    ("version", "oneDNN", re.compile(r"onednn_verbose,.*info,oneDNN v([\d.]+)")),
    ("threads", "oneDNN", re.compile(r"onednn_verbose,.*info,cpu,runtime:\w+,nthr:(\d+)")),
    ("dispatch", "oneDNN", re.compile(r"onednn_verbose,.*info,cpu,isa:(.+)")),
    ("dispatch", "MKL", re.compile(r"MKL_VERBOSE .* for Intel\(R\) 64 architecture ([^,]+),")),
    ("setting", "MKL CNR", re.compile(r"MKL_VERBOSE \w+\(.*\) .*CNR:(\S+)")),
)
_MKL_TYPES = {"S": "fp32", "D": "fp64", "C": "complex64", "Z": "complex128"}


class Primitive(NamedTuple):
    """A kernel that ran: whose, what it computes, its name, its precision, its input's layout."""

    library: str
    kind: str  # such as "convolution", "reorder", or "SGEMM"
    name: str  # such as "jit:avx512_core", or "SGEMM"
    precision: str = ""
    tag: str = ""  # of oneDNN, such as "aBcd16b"


def primitive_of(line: str) -> Primitive | None:
    """Return the kernel that a line tells of; None where it tells of none, or is of a new form."""
    if found := _EXECUTED.match(line):
        source = _SOURCE.search(found["rest"])
        lowered = _LOWERED.search(found["rest"])
        dtype = source["type"] if source else ""
        if lowered and lowered["type"] != "any":
            dtype = lowered["type"]
        elif lowered and dtype == "f32" and _MULTIPLY.search(found["kind"]):
            dtype = dtype if _IN_FLOAT32.search(found["implementation"]) else "bf16"
        return Primitive(
            "oneDNN",
            found["kind"],
            found["implementation"],
            PRECISIONS.get(dtype, dtype),
            source["tag"] if source else "",
        )
    if found := _ROUTINE.match(line):
        name = found["name"]
        precision = _MKL_TYPES.get(name[0], "") if name[1:].startswith("GE") else ""
        return Primitive("MKL", name, name, precision)
    return None


def layout_of(tag: str) -> str:
    """Return `blocked`, `channels-last` or `plain`: how a tensor lies that oneDNN calls `tag`."""
    if re.search(r"\d", tag):
        return "blocked"
    axes = sorted(tag)
    last = "".join([axes[0], *axes[2:], axes[1]]) if len(axes) > 2 else ""
    return "channels-last" if tag == last else "plain"


def dispatch_items(lines: Iterable[str]) -> Iterator[EvidenceItem]:
    """Yield what the libraries say of themselves and of the processor, once in a process."""
    told = set()
    for line in lines:
        for about, library, pattern in _SAYS:
            if (found := pattern.match(line)) and (about, library, found[1]) not in told:
                told.add((about, library, found[1]))
                yield EvidenceItem("reported", about, library, found[1])
