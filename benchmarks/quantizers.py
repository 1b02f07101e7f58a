"""INT8 by NNCF and by onnxruntime.quantization as passes, to stand beside perfsuite's own.

    pip install nncf
    perfsuite run benchmarks/quantizers.toml -o reports/quantizers
    python benchmarks/quantizers.py reports/quantizers

The last command prints, for each cell, in which precision its convolutions and matrix products ran,
and which settings of quantize_static were best.
"""

from __future__ import annotations

import base64
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import msgspec
from nncf_validation import Validation
from static_settings import best_static, static

from perfsuite import api
from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.record import Record
from perfsuite.domain.runtime import Manifest, Variant
from perfsuite.domain.task import Inputs
from perfsuite.errors import PerfsuiteError
from perfsuite.runtimes.openvino.runtime import MODEL, WEIGHTS, OpenVino
from perfsuite.runtimes.shared.precision import compute_precisions
from perfsuite.runtimes.shared.quantization import weight_bits
from perfsuite.store.cache import Cache

if TYPE_CHECKING:
    import onnx

_CHOOSING = 128  # samples on which settings are compared, beyond those of calibration
_BEST = "quantize_static"  # the key of the settings in a graph's metadata


class Nncf(msgspec.Struct, frozen=True):
    """NNCF's post-training quantization (`nncf.quantize`) of the ONNX graph, with its defaults.

    With `max_drop` (0.001 is a tenth of a point) it is `nncf.quantize_with_accuracy_control`: by
    the task's metric on its validation samples, layers go back to float until no more is lost.
    """

    calibration_samples: int = 256
    max_drop: float | None = None

    version: ClassVar[int] = 1

    def resolve(self, target: Target) -> str:
        """Return nothing: the graph is the same for every engine."""
        return ""

    def apply(self, graph: onnx.ModelProto, ctx: PassContext) -> onnx.ModelProto:
        """Return the graph with NNCF's Q/DQ pairs."""
        return self.quantized(graph, graph, ctx)

    def quantized(self, model: Any, graph: onnx.ModelProto, ctx: PassContext) -> Any:
        """Return `model`, which is `graph` or made of it, quantized."""
        import nncf

        samples = list(ctx.calibration(self.calibration_samples))
        given = nncf.Dataset(samples)
        if self.max_drop is None:
            return nncf.quantize(model, given, subset_size=len(samples))
        judge = Validation(ctx, graph)
        return nncf.quantize_with_accuracy_control(
            model,
            given,
            nncf.Dataset(judge.items),
            judge,
            max_drop=self.max_drop,
            subset_size=len(samples),
        )


class NncfOnOpenVino(Nncf, frozen=True):
    """The same of OpenVINO's own model, as its users do it; for the runtime `NativeOpenVino`.

    A pass gives an ONNX graph: OpenVINO's model is attached to that of `Nncf`.
    """

    def apply(self, graph: onnx.ModelProto, ctx: PassContext) -> onnx.ModelProto:
        """Return NNCF's graph with OpenVINO's model in its metadata."""
        import onnx
        import openvino

        with tempfile.TemporaryDirectory(prefix="perfsuite-") as name:
            path = Path(name) / "float.onnx"
            onnx.save(graph, path)
            made = self.quantized(openvino.Core().read_model(path), graph, ctx)
            openvino.save_model(made, Path(name) / MODEL, compress_to_fp16=False)
            files = {file: (Path(name) / file).read_bytes() for file in (MODEL, WEIGHTS)}
        attached: onnx.ModelProto = Nncf(self.calibration_samples).apply(graph, ctx)
        for file, content in files.items():
            attached.metadata_props.add(key=file, value=base64.b64encode(content).decode())
        return attached


class NativeOpenVino(OpenVino):
    """OpenVINO with the model that `NncfOnOpenVino` has attached to a graph, if it has."""

    name: ClassVar[str] = "NativeOpenVino"

    def build(self, variant: Variant, manifest: Manifest, folder: Path) -> None:
        """Write the attached model, or the graph's own."""
        import onnx

        graph = onnx.load(variant.graph) if variant.graph else onnx.ModelProto()
        attached = {one.key: one.value for one in graph.metadata_props}
        if MODEL not in attached:
            super().build(variant, manifest, folder)
            return
        for file in (MODEL, WEIGHTS):
            (folder / file).write_bytes(base64.b64decode(attached[file]))


class OnnxRuntimeStatic(msgspec.Struct, frozen=True):
    """`onnxruntime.quantization.quantize_static`: Q/DQ, per channel, after its preprocessing.

    `best` tries other settings (see `static_settings.py`), and takes the fastest on ONNX Runtime of
    those that are as exact as the most exact.
    """

    calibration_samples: int = 256
    best: bool = False

    version: ClassVar[int] = 3

    def resolve(self, target: Target) -> str:
        """Return what the best settings depend on; the engine does not matter."""
        return f"{weight_bits()} bits" if self.best else ""

    def apply(self, graph: onnx.ModelProto, ctx: PassContext) -> onnx.ModelProto:
        """Return the graph with ONNX Runtime's Q/DQ pairs."""
        if not self.best:
            return static(graph, ctx.calibration(self.calibration_samples))
        samples = _singles(ctx.calibration(self.calibration_samples + _CHOOSING))
        first = list(islice(samples, self.calibration_samples))
        made, told = best_static(graph, first, list(samples) or first)
        made.metadata_props.add(key=_BEST, value=told)
        return made


def _singles(batches: Iterator[Inputs]) -> Iterator[Inputs]:
    """Yield calls with one sample each."""
    for batch in batches:
        for at in range(len(next(iter(batch.values())))):
            yield {name: array[at : at + 1] for name, array in batch.items()}


def settings_of(record: Record) -> str:
    """Return the best settings of quantize_static, if a cell's artifact still tells them."""
    import onnx

    folder = Cache().get("artifact", record.artifact) if record.artifact else None
    paths = sorted(folder.glob("*.onnx")) if folder else []
    found = (one for path in paths for one in onnx.load(path).metadata_props)
    return next((one.value for one in found if one.key == _BEST), "")


def main(folder: str) -> int:
    """Print a line for each cell with its compute kernels by precision; return the exit code."""
    try:
        run = api.show(folder).run
    except PerfsuiteError as error:
        print(error, file=sys.stderr)
        return 2
    for cell in run.header.cells:
        record = run.records[cell.id]
        kernels = compute_precisions(record.evidence.kernels) if record.evidence else {}
        words = ", ".join(f"{count} in {precision}" for precision, count in kernels.items())
        print(f"{cell.key}: {words or record.status}")
        if settings := settings_of(record):
            print(f"    {settings}")
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
