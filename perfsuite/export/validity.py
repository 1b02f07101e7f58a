"""Whether an ONNX file is one that can be run here at all."""

from __future__ import annotations

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
