"""Whether an ONNX file is one that can be run here at all."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from perfsuite.errors import ConfigError

if TYPE_CHECKING:
    import onnx

_KINDS = {
    "sequence_type": "a sequence",
    "optional_type": "an optional value",
    "map_type": "a map",
    "sparse_tensor_type": "a sparse tensor",
    "tensor_type": "a tensor",
}

_LOOKED_AT = 64  # bytes from a file's beginning
_NO_OPERATOR = re.compile(r"No Op registered for (\S+) with domain_version of (\d+)")
_WITHDRAWN = re.compile(r"Op registered for (\S+) is deprecated in domain_version of (\d+)")
_GONE = re.compile(r"should be stored in (.+?), but it (doesn't exist|is not regular file)")
_SHORT = "exceeds available data"


def what_it_is(path: Path) -> str:
    """Return what a file is that is no ONNX model, and what to do; "" if nothing tells."""
    with path.open("rb") as file:
        begin = file.read(_LOOKED_AT).lstrip().lower()
    if begin.startswith(b"version https://git-lfs"):
        return "not an ONNX file but a pointer of Git LFS; fetch the file with: git lfs pull"
    if begin.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "not an ONNX file but a web page; download the file itself"
    return ""


def why_refused(told: str) -> str:
    """Return why a file is refused, of what the checker says, and what to do; "" if it is plain."""
    if found := _NO_OPERATOR.search(told):
        return (
            f"its operator {found[1]} is none of ONNX's (operator set {found[2]}), but one of an "
            f"engine's own, such as a TensorRT plug-in; export the model without it, a detector "
            f"without its post-processing, or for ONNX Runtime"
        )
    if found := _WITHDRAWN.search(told):
        return (
            f"its operator {found[1]} was withdrawn in operator set {found[2]}, and no engine need "
            f"have it; export the model with another operator set, for example the newest"
        )
    if found := _GONE.search(told):
        return f"its weights lie in {found[1]}, which is not there; copy that file beside the model"
    if _SHORT in told:
        return f"{told}: its file of weights is cut short; copy it again"
    return ""


def check_versions(path: Path, model: onnx.ModelProto) -> None:
    """Raise `ConfigError` for a file that is newer than the installed onnx package."""
    import onnx

    newest = onnx.defs.onnx_opset_version()
    given = max((one.version for one in model.opset_import if one.domain in ("", "ai.onnx")),
                default=0)  # fmt: skip
    for what, found, most in (
        ("IR version", model.ir_version, onnx.IR_VERSION),
        ("operator set", given, newest),
    ):
        if found > most:
            raise ConfigError(
                f"{path}: its {what} is {found}, the installed onnx package knows {most}; upgrade "
                f"onnx and the engines, or export the model for an older one"
            )


def check_outputs(path: Path, model: onnx.ModelProto) -> None:
    """Raise `ConfigError` for a graph without outputs, or with one that is listed twice."""
    if not model.graph.output:
        raise ConfigError(
            f"{path}: the graph has no outputs, so that it computes nothing; name what it should "
            f"give when it is exported"
        )
    listed = Counter(value.name for value in model.graph.output)
    twice = [name for name, times in listed.items() if times > 1]
    if twice:
        raise ConfigError(
            f"{path}: output '{twice[0]}' is listed twice, which no engine takes; list it once, or "
            f"give the second a name of its own by an Identity"
        )


def kind_of_value(value: onnx.ValueInfoProto) -> str:
    """Return what an input or output is, in words."""
    return _KINDS.get(value.type.WhichOneof("value") or "", "a value of no type")
