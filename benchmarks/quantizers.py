"""INT8 by NNCF and by onnxruntime.quantization as passes, to stand beside perfsuite's own.

    pip install nncf
    perfsuite run benchmarks/quantizers.toml -o reports/quantizers
    python benchmarks/quantizers.py reports/quantizers

The last command prints, for each cell, in which precision its convolutions and matrix products ran.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import msgspec

from perfsuite import api
from perfsuite.domain.recipe import PassContext, Target
from perfsuite.errors import PerfsuiteError
from perfsuite.runtimes.shared.precision import compute_precisions

if TYPE_CHECKING:
    import onnx


class Nncf(msgspec.Struct, frozen=True):
    """NNCF's post-training quantization with its defaults (`nncf.quantize`)."""

    calibration_samples: int = 256

    version: ClassVar[int] = 1

    def resolve(self, target: Target) -> str:
        """Return nothing: the graph is the same for every engine."""
        return ""

    def apply(self, graph: onnx.ModelProto, ctx: PassContext) -> onnx.ModelProto:
        """Return the graph with NNCF's Q/DQ pairs."""
        import nncf

        samples = list(ctx.calibration(self.calibration_samples))
        return nncf.quantize(graph, nncf.Dataset(samples), subset_size=len(samples))


class OnnxRuntimeStatic(msgspec.Struct, frozen=True):
    """`onnxruntime.quantization.quantize_static`: Q/DQ, per channel, after its preprocessing."""

    calibration_samples: int = 256

    version: ClassVar[int] = 1

    def resolve(self, target: Target) -> str:
        """Return nothing: the graph is the same for every engine."""
        return ""

    def apply(self, graph: onnx.ModelProto, ctx: PassContext) -> onnx.ModelProto:
        """Return the graph with ONNX Runtime's Q/DQ pairs."""
        import onnx
        from onnxruntime.quantization import CalibrationDataReader, QuantType, quantize_static
        from onnxruntime.quantization.shape_inference import quant_pre_process

        class Reader(CalibrationDataReader):
            def __init__(self) -> None:
                self.batches = iter(ctx.calibration(calibration_samples))

            def get_next(self) -> dict[str, object] | None:
                return next(self.batches, None)

        calibration_samples = self.calibration_samples
        # The preprocessing leaves files in the working folder when it fails.
        with tempfile.TemporaryDirectory(prefix="perfsuite-") as name, contextlib.chdir(name):
            plain, ready, made = (Path(name) / f"{one}.onnx" for one in ("plain", "ready", "made"))
            onnx.save(graph, plain)
            try:
                quant_pre_process(str(plain), str(ready))
            except Exception:  # noqa: BLE001 - its own inference of shapes fails on many graphs
                quant_pre_process(str(plain), str(ready), skip_symbolic_shape=True)
            quantize_static(
                str(ready),
                str(made),
                Reader(),
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )
            return onnx.load(made)


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
    return 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
