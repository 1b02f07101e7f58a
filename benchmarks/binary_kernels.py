"""The kernels of perfsuite-binary beside the same in C++, and beside what the processor can count.

    python benchmarks/binary_kernels.py [--repeats 40] [--nets]

Prints, for three binary residual layers (convolution, batch normalization, shortcut, PReLU between
shifts, signs of the next layer, all in one pass) and each number of threads, the median time of a
layer in both, which take turns, and which part of the processor's peak of population counts the
convolution reaches. The C++ is compiled by g++ and called by ctypes. With --nets, a VGG-16 and a
residual net of random bits beside the same architectures in fp32 on OpenVINO.
"""

from __future__ import annotations

import argparse
import ctypes
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

# Instead of this folder, in which Numba would find coverage.py and take it for the package.
sys.path[0] = str(Path(__file__).parent.parent / "tests" / "support")

from binary_graphs import SAME, VGG16, Chain, residual, vgg  # noqa: E402
from binary_sessions import opened, pictures  # noqa: E402

from perfsuite.export.binary_operator import is_binary_conv, pack_weights  # noqa: E402
from perfsuite.runtimes.binary.operands import Bases, BinaryWeights, placed  # noqa: E402

LAYERS = ((64, 32), (256, 8), (512, 4))
DEEP = 4  # layers in a row, of which the median one is told
CALLS = 20
FLAGS = ["-O3", "-march=x86-64-v4", "-mavx512vpopcntdq", "-fopenmp", "-shared", "-fPIC"]
_ADDRESSES = [
    "x",
    "w",
    "base",
    "columns",
    "scale",
    "shift",
    "before",
    "slope",
    "after",
    "threshold",
    "shortcut",
    "y",
    "bits",
]
_SIZES = ["height", "width", "words", "filters"]


class Layer(ctypes.Structure):
    """As in binary_kernels.cpp."""

    _fields_ = [(name, ctypes.c_void_p) for name in _ADDRESSES] + [
        (name, ctypes.c_int64) for name in _SIZES
    ]


def library() -> Any:
    """Return the compiled C++."""
    target = Path(tempfile.mkdtemp()) / "kernels.so"
    source = Path(__file__).with_suffix(".cpp")
    subprocess.run(["g++", *FLAGS, str(source), "-o", str(target)], check=True)
    found = ctypes.CDLL(str(target))
    found.peak.restype = ctypes.c_double
    return found


def in_cpp(code: Any, channels: int, side: int) -> Callable[[int], float]:
    """Return a function that times one layer with so many threads."""
    rng = np.random.default_rng(0)
    words = channels // 64
    weights = BinaryWeights(pack_weights(rng.normal(size=(channels, channels, 3, 3))))
    bases = Bases(weights, channels, SAME, side, side)
    numbers = ("scale", "shift", "before", "slope", "after", "threshold")
    arrays = {name: placed(rng.normal(size=channels).astype(np.float32)) for name in numbers}
    bits = rng.integers(0, 2**63, (words, side, side + 2), dtype=np.uint64)
    arrays |= {"x": placed(bits), "bits": placed(bits * 0), "w": weights.words}
    arrays |= {"base": bases.sums, "columns": bases.columns}
    for name in ("shortcut", "y"):
        arrays[name] = placed(rng.normal(size=(side, side, channels)).astype(np.float32))
    layer = Layer(*(arrays[name].ctypes.data for name in _ADDRESSES), side, side, words, channels)

    def timed(threads: int) -> float:
        begin = time.perf_counter()
        for _ in range(CALLS):
            code.layer(ctypes.byref(layer), ctypes.c_int64(threads))
        assert arrays["y"].any()  # which also keeps the arrays
        return (time.perf_counter() - begin) / CALLS

    return timed


def layers(channels: int, side: int) -> Any:
    """Return a net of `DEEP` residual layers."""
    net = Chain((channels, side, side))
    net.node("Identity", net.here)
    for _ in range(DEEP):
        shortcut = net.here
        net.binary(channels, SAME)
        net.norm()
        net.node("Add", net.here, shortcut)
        net.rprelu()
    net.node("Relu", net.here)
    return net.model()


def in_numba(session: Any, x: np.ndarray) -> float:
    """Return the time of the layers of a session, but for the first and the last."""
    found = session.profile([{"x": x}], CALLS)
    times = [one.times_s for one in found.kernels if one.kind == "BinaryConv"][1:-1]
    return float(np.median(times))


def compare(code: Any, repeats: int, best: float) -> None:
    """Print the table of layers."""
    print("| layer | threads | C++, us | Numba, us | speed | of peak |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for channels, side in LAYERS:
        model, cpp = layers(channels, side), in_cpp(code, channels, side)
        for threads in (1, 2):
            times = defaultdict(list)
            with opened(model, threads=threads) as session:
                x = pictures(model, 1)
                for _ in range(repeats):
                    times["cpp"].append(cpp(threads) * 1e6)
                    times["numba"].append(in_numba(session, x) * 1e6)
            middle = {name: np.median(values) for name, values in times.items()}
            products = (channels * 3) ** 2 * side**2 - channels**2 * (12 * side - 4)
            part = products / (middle["numba"] * 1e-6) / (threads * best)
            print(
                f"| 3x3, {channels} to {channels}, {side}x{side} | {threads} "
                f"| {middle['cpp']:.1f} | {middle['numba']:.1f} "
                f"| {middle['cpp'] / middle['numba']:.2f} | {100 * part:.0f} % |"
            )


def in_floats(model: Any) -> Any:
    """Return the same architecture with real convolutions, for OpenVINO."""
    import onnx
    from onnx import helper, numpy_helper

    plain = onnx.ModelProto()
    plain.CopyFrom(model)
    del plain.functions[:]
    packed = {one.name: one for one in plain.graph.initializer}
    for node in plain.graph.node:
        if is_binary_conv(node):
            given = {one.name: helper.get_attribute_value(one) for one in node.attribute}
            channels = given.pop("channels")
            filters, *kernel, _ = packed[node.input[2]].dims
            drawn = np.random.default_rng(0).normal(0, 0.05, (filters, channels, *kernel))
            weights = numpy_helper.from_array(drawn.astype(np.float32), f"{node.name} real")
            plain.graph.initializer.append(weights)
            made = helper.make_node(
                "Conv", [node.input[0], weights.name], node.output, name=node.name, **given
            )
            node.CopyFrom(made)
    return plain


def nets(repeats: int) -> None:
    """Print the table of nets."""
    import openvino

    made = {
        "VGG-16": vgg(VGG16),
        "residual, 64 to 512": residual((64, 128, 256, 512), 2),
        **{f"one 3x3, {c} to {c}, {s}x{s}": single(c, s) for c, s in ONE},
    }
    print("| net | threads | fp32 on OpenVINO, us | perfsuite-binary, us | times as fast |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, model in made.items():
        for threads in (1, 2):
            hints = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
            core = openvino.Core()
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / "net.onnx"
                path.write_bytes(in_floats(model).SerializeToString())
                network = core.read_model(path)
                network.reshape({"x": pictures(model, 1).shape})
                compiled = core.compile_model(network, "CPU", hints)
            request, x = compiled.create_infer_request(), pictures(model, 1)
            times = defaultdict(list)
            with opened(model, threads=threads) as session:
                for _ in range(repeats):
                    for engine, call in (
                        ("openvino", lambda: request.infer({"x": x})),  # noqa: B023
                        ("ours", lambda: session.run({"x": x})),  # noqa: B023
                    ):
                        call()
                        begin = time.perf_counter()
                        for _ in range(CALLS):
                            call()
                        times[engine].append((time.perf_counter() - begin) / CALLS * 1e6)
            middle = {engine: np.median(values) for engine, values in times.items()}
            print(
                f"| {name} | {threads} | {middle['openvino']:.0f} | {middle['ours']:.0f} "
                f"| {middle['openvino'] / middle['ours']:.1f} |"
            )


ONE = ((128, 16), (256, 8), (512, 4))


def single(channels: int, side: int) -> Any:
    """Return a net of one binary convolution."""
    net = Chain((channels, side, side))
    net.binary(channels, SAME)
    return net.model()


def main() -> None:
    """Time the layers, and the nets if asked to."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=40)
    parser.add_argument("--nets", action="store_true")
    given = parser.parse_args()
    code = library()
    best = max(code.peak(ctypes.c_int64(50_000)) for _ in range(500))
    print(f"peak of one core: {best / 1e12:.2f} * 10^12 products of bits a second\n")
    compare(code, given.repeats, best)
    if given.nets:
        print()
        nets(given.repeats)


if __name__ == "__main__":
    main()
