"""perfsuite-binary beside larq-compute-engine, whose kernels for x86 are its reference.

    python -m venv larq
    larq/bin/pip install '.[binary]' 'larq-compute-engine[tensorflow]' larq tf-keras onnx pytest
    larq/bin/python benchmarks/binary_larq.py

Prints the least and the median time of a VGG-16 for pictures of 32x32 and of single 3x3
convolutions, all of random weights, in calls that take turns. Larq pads with ones, as its engine
knows no padding that adds nothing; that makes no difference to its time.
"""

from __future__ import annotations

import os
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

os.environ |= {"TF_USE_LEGACY_KERAS": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
# Instead of this folder, in which Numba would find coverage.py and take it for the package.
sys.path[0] = str(Path(__file__).parent.parent / "tests" / "support")

import larq  # noqa: E402
import larq_compute_engine  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402
from binary_graphs import SAME, VGG16, Chain, vgg  # noqa: E402
from binary_sessions import opened, pictures  # noqa: E402

REPEATS = 40
ONE = ((128, 16), (256, 8), (512, 4))
SIGNS = {"input_quantizer": "ste_sign", "kernel_quantizer": "ste_sign", "use_bias": False}


def binary(filters: int) -> Any:
    """Return a binary 3x3 convolution of Larq's."""
    return larq.layers.QuantConv2D(filters, 3, padding="same", pad_values=1, **SIGNS)


def larq_vgg() -> Any:
    """Return the VGG-16 as a model of Keras."""
    net = tf.keras.Sequential([tf.keras.Input((32, 32, 3))])
    for index, entry in enumerate(VGG16):
        if entry == "M":
            net.add(tf.keras.layers.MaxPool2D(2))
            continue
        real = tf.keras.layers.Conv2D(entry, 3, padding="same", use_bias=False)
        net.add(binary(entry) if index else real)
        net.add(tf.keras.layers.BatchNormalization())
        net.add(tf.keras.layers.ReLU())
    net.add(tf.keras.layers.GlobalAveragePooling2D())
    net.add(tf.keras.layers.Dense(10))
    return net


def larq_single(channels: int, side: int) -> Any:
    """Return one convolution as a model of Keras."""
    return tf.keras.Sequential([tf.keras.Input((side, side, channels)), binary(channels)])


def single(channels: int, side: int) -> Any:
    """Return the same as a graph."""
    net = Chain((channels, side, side))
    net.binary(channels, SAME)
    return net.model()


def main() -> None:
    """Time all nets with one and two threads."""
    nets = {"VGG-16": (vgg(VGG16), larq_vgg())}
    for channels, side in ONE:
        name = f"3x3, {channels} to {channels}, {side}x{side}"
        nets[name] = single(channels, side), larq_single(channels, side)
    print("| net | threads | Larq, min / median us | perfsuite-binary | times as fast |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, (graph, keras) in nets.items():
        flat = larq_compute_engine.convert_keras_model(keras)
        x = pictures(graph, 1)
        beside = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
        for threads in (1, 2):
            theirs = larq_compute_engine.testing.Interpreter(flat, num_threads=threads)
            times = defaultdict(list)
            with opened(graph, threads=threads) as ours:
                for _ in range(REPEATS):
                    for engine, call in (
                        ("larq", lambda: theirs.predict(beside)),  # noqa: B023
                        ("ours", lambda: ours.run({"x": x})),  # noqa: B023
                    ):
                        call()
                        begin = time.perf_counter()
                        call()
                        times[engine].append((time.perf_counter() - begin) * 1e6)
            told = {key: (min(values), float(np.median(values))) for key, values in times.items()}
            larq_us, ours_us = (
                f"{least:.0f} / {middle:.0f}" for least, middle in (told["larq"], told["ours"])
            )
            faster = told["larq"][1] / told["ours"][1]
            print(f"| {name} | {threads} | {larq_us} | {ours_us} | {faster:.0f} |")


if __name__ == "__main__":
    main()
