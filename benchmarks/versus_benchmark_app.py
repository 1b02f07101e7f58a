"""perfsuite's latency of an OpenVINO model against that of OpenVINO's own `benchmark_app`.

    python benchmarks/versus_benchmark_app.py ARTIFACT_FOLDER
    python benchmarks/versus_benchmark_app.py model.xml --seconds 10

Prints the median latency of both tools in each pair of fresh processes, in alternating order, and
the geometric mean of the ratios with its 95 % interval (Student's t on log ratios). Exits with 1 if
the interval does not overlap 0.97 to 1.03, and with 2 if nothing could be compared.

What makes the two comparable:

- the same file, batch, threads, one stream, float32 and synchronous calls, in processes that start
  afresh, one at a time, this one idle;
- the same numbers of the same type go in. Left alone, `benchmark_app` would take what looks like a
  picture as bytes, with a conversion in the graph, and fill it with noise; here it reads the
  artifact's first inputs. Of several it would still time one only: it fills its tensors once;
- both give the median over the same duration. `benchmark_app` warms up with one call, perfsuite
  until steady: the median is indifferent to the few slow calls of a start.

What differs, on purpose: `benchmark_app` reports the engine's own clock around the inference alone,
perfsuite the time from host arrays to host arrays, with the binding of inputs, the copy of outputs
and the Python around them. These are microseconds, which the ratio shows in models of less than a
millisecond. `benchmark_app` prints hundredths of a millisecond: below 1 ms of microseconds.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn

import numpy as np

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, SessionOptions
from perfsuite.domain.suite import Measure
from perfsuite.domain.task import Inputs
from perfsuite.judge.intervals import log_ratios, mean_interval
from perfsuite.measure.latency import time_calls
from perfsuite.runner.build.artifacts import (
    read_inputs,
    read_manifest,
    write_inputs,
    write_manifest,
)
from perfsuite.runtimes.table import RUNTIMES

LOW, HIGH = 0.97, 1.03
WIDE = 1.1
APP = "import sys; from openvino.tools.benchmark.main import main; sys.exit(main())"
PRECISIONS = {
    "float32": "f32",
    "float16": "f16",
    "int64": "i64",
    "int32": "i32",
    "uint8": "u8",
    "int8": "i8",
}


def main() -> int:
    """Compare, print, and return the exit code."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as scratch:
        folder = _artifact(arguments.model, Path(scratch))
        if arguments.worker:
            print(json.dumps(ours(folder, arguments.seconds, arguments.threads)))
            return 0
        return compare(folder, Path(scratch), arguments)


def compare(folder: Path, scratch: Path, arguments: argparse.Namespace) -> int:
    """Run the pairs and return 0 if the tools agree."""
    inputs = read_inputs(folder)[0]
    mine: dict[int, tuple[float, ...]] = {}
    theirs: dict[int, tuple[float, ...]] = {}
    print("pair  first          perfsuite ms  benchmark_app ms  ratio")
    for pair in range(arguments.pairs):
        ours_first = pair % 2 == 0
        if ours_first:
            mine[pair] = (_ours_afresh(folder, arguments),)
        theirs[pair] = (_theirs(folder, inputs, scratch, arguments),)
        if not ours_first:
            mine[pair] = (_ours_afresh(folder, arguments),)
        first = "perfsuite" if ours_first else "benchmark_app"
        a, b = mine[pair][0], theirs[pair][0]
        print(f"{pair:4}  {first:13}  {a * 1e3:12.4f}  {b * 1e3:16.4f}  {a / b:5.3f}", flush=True)
    interval = mean_interval(log_ratios(mine, theirs))
    if interval is None:
        print("one pair gives no interval: ask for two or more with --pairs")
        return 2
    agree = interval.low <= HIGH and interval.high >= LOW
    print(
        f"perfsuite / benchmark_app: {interval.value:.4f} "
        f"[{interval.low:.4f}, {interval.high:.4f}], which "
        f"{'overlaps' if agree else 'does not overlap'} [{LOW}, {HIGH}]"
    )
    if interval.high / interval.low > WIDE:
        print("The interval is wide and proves little: repeat it on a machine that is idle.")
    return 0 if agree else 1


def ours(folder: Path, seconds: float, threads: int) -> dict[str, float | bool]:
    """Return what perfsuite measures in this process."""
    manifest = read_manifest(folder)
    opening = SessionOptions(batch=manifest.batch, threads=threads)
    with RUNTIMES["openvino"]().open(folder, manifest, opening) as session:
        latencies = time_calls(session, read_inputs(folder), Measure(seconds=seconds))
    return {"median_s": statistics.median(latencies.samples_s), "steady": latencies.steady}


def _ours_afresh(folder: Path, arguments: argparse.Namespace) -> float:
    flags = ["--worker", "--seconds", str(arguments.seconds), "--threads", str(arguments.threads)]
    output = _output([sys.executable, str(Path(__file__).resolve()), str(folder), *flags])
    return float(json.loads(output.splitlines()[-1])["median_s"])


def _theirs(folder: Path, inputs: Inputs, scratch: Path, arguments: argparse.Namespace) -> float:
    """Return the median that `benchmark_app` prints, in seconds."""
    shapes, precisions, files = [], [], []
    for number, (name, array) in enumerate(inputs.items()):
        file = scratch / f"{number}.npy"
        np.save(file, array)
        shapes.append(f"{name}[{','.join(map(str, array.shape))}]")
        precisions.append(f"{name}:{PRECISIONS[str(array.dtype)]}")
        files.append(f"{name}:{file}")
    command = [sys.executable, "-c", APP, "-m", str(folder / "model.xml"), "-d", "CPU"]
    command += ["-hint", "none", "-nstreams", "1", "-nthreads", str(arguments.threads)]
    command += ["-api", "sync", "-infer_precision", "f32", "-t", str(round(arguments.seconds))]
    command += ["-shape", ",".join(shapes), "-iop", ",".join(precisions), "-i", *files]
    output = _output(command)
    found = re.search(r"Median:\s+([\d.]+) (us|ms)", output)
    if found is None:
        _stop(f"benchmark_app printed no median:\n{output[-2000:]}")
    return float(found[1]) * {"us": 1e-6, "ms": 1e-3}[found[2]]


def _output(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        _stop(f"{command[:3]} failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return done.stdout


def _stop(message: str) -> NoReturn:
    """End with 2: nothing was compared, which is not the same as a difference."""
    print(message, file=sys.stderr)
    sys.exit(2)


def _artifact(path: Path, scratch: Path) -> Path:
    """Return an artifact folder: the one given, or one made around a bare model.xml."""
    if path.is_dir():
        return path
    if not (path.is_file() and path.with_suffix(".bin").is_file()):
        _stop(f"{path}: there is no artifact folder and no model.xml with its model.bin here")
    import openvino

    model = openvino.Core().read_model(path)
    specs: list[InputSpec] = []
    inputs: Inputs = {}
    for port in model.inputs:
        sides = [side.get_length() if side.is_static else 1 for side in port.partial_shape]
        dtype = np.dtype(port.element_type.to_dtype())
        array = np.random.default_rng(0).standard_normal(sides).astype(dtype)
        shape = ("batch" if port.partial_shape[0].is_dynamic else sides[0], *sides[1:])
        specs.append(InputSpec(port.any_name, str(dtype), shape))
        inputs[port.any_name] = array
    outputs = tuple(port.any_name for port in model.outputs)
    manifest = Manifest("openvino", "cpu", "fp32", 1, tuple(specs), outputs, False, False)
    folder = scratch / "artifact"
    folder.mkdir()
    write_manifest(folder, manifest)
    write_inputs(folder, [inputs])
    for suffix in (".xml", ".bin"):
        shutil.copy(path.with_suffix(suffix), folder / f"model{suffix}")
    return folder


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", type=Path, help="an artifact's folder, or a model.xml")
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=10.0, help="of timing in each process")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
