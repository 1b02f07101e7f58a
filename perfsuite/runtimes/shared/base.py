"""The base of sessions, whether an engine is installed, and errors of engines in words."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

from perfsuite.domain.model import InputSpec
from perfsuite.domain.profile import Profile
from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, PerfsuiteError, SchemaError, Unavailable, Unsupported

_LACKS_OPERATOR = (
    re.compile(r"No conversion rule found for operations: ([^\n]+)"),
    re.compile(r"OpenVINO does not support the following ONNX operations: ([^\n]+)"),
    re.compile(r"Fatal error: (\S+?)(?:\(-?\d+\))? is not a registered function/op"),
    re.compile(r"No Op registered for (\S+)"),
    re.compile(r"Unsupported operation of type: (\w+)"),
)

# Of an operator that the engine has: it was given types, or a version, that it has not.
_LACKS_KERNEL = re.compile(r"Could not find an implementation for (\w+)\((\d+)\)")

# What a file has, what it has of it, and up to what the engine knows it.
_TOO_NEW = (
    ("IR version", re.compile(r"model IR version: (\d+), max supported IR version: (\d+)")),
    (
        "operator set",
        re.compile(r"Opset (\d+) is under development.*till opset (\d+)", re.DOTALL),
    ),
)
_STANDARD = ("", "com.microsoft", "org.openvinotoolkit")
# Of what ONNX Runtime writes when it optimizes a file, for itself on the same kind of processor.
_OPTIMIZED = ("com.microsoft.nchwc", "com.ms.internal.nhwc")
_PLUG_INS = ("trt", "trt.plugins", "tensorrt")  # of TensorRT, which has them in no domain itself
_ONNX = "ai.onnx"  # with which the names of its domains begin


class BaseSession:
    """A context manager that closes itself once, and runs on the real clock."""

    clock: Callable[[], int] | None = None

    def profile(self, inputs: Sequence[Inputs], calls: int) -> Profile:
        """Raise `Unsupported`; engines that can be profiled override this."""
        raise Unsupported(
            f"{type(self).__name__} tells no times of kernels: it has no profile, or was not "
            f"opened with inspect"
        )

    def close(self) -> None:
        """Free the engine's resources; a second call does nothing."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def versions(module: str, distributions: Sequence[str], install: str) -> dict[str, str]:
    """Return the first installed distribution's name and version, without importing `module`.

    Raises `Unavailable` with the command that installs it.
    """
    if find_spec(module) is not None:
        for name in distributions:
            try:
                return {name: metadata.version(name)}
            except metadata.PackageNotFoundError:
                continue
        return {module: "unknown"}
    raise Unavailable(f"{module} is not installed; install it with: {install}")


def installed(distribution: str) -> bool:
    """Tell whether a distribution is installed."""
    try:
        metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return False
    return True


def artifact_file(folder: Path, name: str) -> Path:
    """Return the file `name` in `folder`; raise `SchemaError` if it is missing."""
    path = folder / name
    if not path.is_file():
        raise SchemaError(f"{path}: the artifact lacks this file; build the artifact again")
    return path


def build_error(engine: str, where: Path, error: Exception) -> PerfsuiteError:
    """Return `Unsupported` if the message says that an operator is missing, else `BuildError`.

    `Unsupported` is also what is too new for the engine.
    """
    text = str(error)
    for pattern in _LACKS_OPERATOR:
        if found := pattern.search(text):
            return lacks_operator(engine, found[1].strip(), where)
    if found := _LACKS_KERNEL.search(text):
        return Unsupported(
            f"{engine} has no kernel for {found[1]} (of operator set {found[2]}) in the types that "
            f"it has in {where.name}, such as double; export the model in float32, or for an older "
            f"operator set, or take another engine"
        )
    for what, pattern in _TOO_NEW:
        if found := pattern.search(text):
            return Unsupported(
                f"{engine} knows {what} {found[2]} at most, and {where.name} has {found[1]}; "
                f"upgrade {engine}, or export the model for an older one"
            )
    return BuildError(f"{engine} cannot build {where.name}: {trimmed(text)}")


def lacks_operator(engine: str, operators: str, where: Path) -> Unsupported:
    """Return the error for operators that an engine lacks: `Type`, `domain:Type`, each."""
    return Unsupported(
        f"{engine} has no operator {operators}, which {where.name} uses; {_advice(operators)}"
    )


def _advice(operators: str) -> str:
    """Return what to do about missing operators: `Type`, `domain:Type` or `domain.Type`, each."""
    named = [one.replace(":", ".").rpartition(".") for one in re.split(r",\s*", operators)]
    domains = {domain.strip(".") for domain, _, _ in named}
    if domains.intersection(_OPTIMIZED):
        return (
            "ONNX Runtime writes it when it optimizes a file: give the file that this one was made "
            "from"
        )
    if any(one.lower() in _PLUG_INS for one in domains):
        return (
            "it is a plug-in of TensorRT: export the model without it, a detector without its "
            "post-processing, or with NonMaxSuppression"
        )
    if any(one not in _STANDARD and not one.startswith(_ONNX) for one in domains):
        return (
            "it is an operator of your own: on onnxruntime, name the library that has it in a "
            "runtime of yours (CONTRIBUTING.md, A runtime), or export the model without it"
        )
    if any(kind.startswith("Q") for _, _, kind in named):
        return (
            "take onnxruntime, or quantize the model with QDQ pairs, which other engines take too"
        )
    return "take another engine, or export the model without it"


def no_such_type(output: str, kind: str) -> Unsupported:
    """Return the error for an output of a type that NumPy lacks."""
    return Unsupported(
        f"output '{output}' is of {kind}, a type that NumPy lacks; end the graph with a Cast to "
        f"float or an integer type"
    )


def open_error(engine: str, where: Path, error: Exception) -> SchemaError:
    """Return the error for an artifact's file that its engine cannot read."""
    return SchemaError(
        f"{where}: {engine} cannot open it ({trimmed(str(error))}); it is corrupt or was built by "
        f"another version: build the artifact again"
    )


def trimmed(text: str) -> str:
    """Return the message on one line, without source positions, cut to 400 characters."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    told = [line for line in lines if not re.match(r"(Exception from|Check ') ?\S+.*:\d+:?$", line)]
    return " ".join(told or lines)[:400]


def fixed_batch(inputs: Sequence[InputSpec], batch: int) -> None:
    """Raise `Unsupported` if the inputs' first dimension is constant and not `batch`.

    A dynamic first dimension with another name than `batch` does not count samples, and is ignored,
    as is that of an input that is the same for all samples of a call.
    """
    counting = [spec for spec in inputs if not spec.per_call]
    if not counting or any("batch" in spec.shape for spec in inputs):
        return
    first = counting[0]
    fixed = first.shape[0] if first.shape else "batch"
    if isinstance(fixed, int) and fixed != batch:
        raise Unsupported(
            f"input '{first.name}': its first dimension is fixed to {fixed}, a batch of {batch} "
            f"was asked for; ask for a batch of {fixed} (--batch {fixed}, in a suite batches = "
            f"[{fixed}]), or export the model with a dynamic first dimension"
        )
