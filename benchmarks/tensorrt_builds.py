"""How long TensorRT for RTX takes to build engines on a machine without a card, and their size.

    python benchmarks/tensorrt_builds.py [CAPABILITY]

For cards of one compute capability, sm_89 by default, it builds VGG-16, ShuffleNetV2, ResNet-101,
and the stages of a Faster R-CNN on ResNet-101, which it does not take whole: each in fp16, and in
INT8 with fp16 around it. It prints a Markdown table, with the types of each engine's products. INT8
is calibrated on four samples: what is built does not depend on the ranges. Exports and calibration
are cached, and not in the times.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import NamedTuple, TextIO

from perfsuite.config.loading import load_suite
from perfsuite.config.python_suite import Recipe, Suite
from perfsuite.domain.cell import Cell
from perfsuite.domain.runtime import Manifest, Runtime, Variant
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.errors import BuildError, Unsupported
from perfsuite.export.onnx import graph_spec, load_graph
from perfsuite.export.pieces import read_pieces
from perfsuite.passes.int8.int8 import Int8
from perfsuite.runner.build import artifacts
from perfsuite.runner.build.steps import steps_of
from perfsuite.runner.build.variants import VariantBuilder
from perfsuite.runner.build.workload import workload_of
from perfsuite.runner.job import first_job
from perfsuite.runtimes.tensorrt.built import ENGINE, read_built
from perfsuite.store.cache import Cache

MODELS = (
    "vgg16-cifar10",
    "shufflenet-cifar10",
    "torchvision:vgg16",
    "torchvision:resnet101",
    "faster-rcnn-resnet101",
)
SAMPLES = 4  # to calibrate with


class Row(NamedTuple):
    """One engine."""

    model: str
    stage: str  # '' for the whole model
    recipe: str
    build_s: float
    size_bytes: int
    products: str
    refusal: str = ""  # why it was not built whole


def rows(capability: str) -> Iterator[Row]:
    """Yield a row for each engine, as soon as it is built."""
    recipe = Recipe("int8", passes=[Int8(calibration_samples=SAMPLES)])
    suite = Suite(
        name="tensorrt-builds",
        workloads=list(MODELS),
        runtimes=["tensorrt-rtx"],
        devices=[capability],
        precision=["fp16"],
        recipes=[recipe],
        threads=2,
    )
    resolved, cells, _ = load_suite(suite, ())
    for cell in cells:
        yield from engines(resolved, cell)


def engines(suite: ResolvedSuite, cell: Cell) -> Iterator[Row]:
    """Yield the engine of one cell or, if the model is not taken whole, those of its stages."""
    job = first_job(suite, cell)
    runtime = artifacts.load_runtime(job.runtime)
    builder = VariantBuilder(workload_of(job), job, steps_of(job, runtime), runtime, Cache())
    variant, _ = builder.variant()
    folder, refusal = variant.pieces, ""
    if variant.graph is not None:
        shapes = artifacts.shapes_of([builder.inputs(cell.batch, seed) for seed in range(8)])
        whole = Variant(variant.graph, None, variant.quantized, shapes=shapes)
        try:
            yield timed(runtime, cell, whole, "")
            return
        except (BuildError, Unsupported) as error:
            folder, refusal = builder.pieces(error), str(error)
    found = read_pieces(folder) if folder is not None else None
    assert folder is not None and found is not None, cell.key
    for piece in found.pieces:
        part = Variant(folder / piece.graph, None, variant.quantized, shapes=piece.shapes)
        try:
            row = timed(runtime, cell, part, piece.path)
        except Unsupported as error:
            left = f"stays in PyTorch: {error}"
            row = Row(cell.workload, piece.path, cell.recipe, 0.0, 0, left)
        yield row._replace(refusal=refusal or found.whole)


def timed(runtime: Runtime, cell: Cell, variant: Variant, stage: str) -> Row:
    """Build one graph, and say how long that took."""
    assert variant.graph is not None
    spec, names = graph_spec(load_graph(variant.graph))
    manifest = Manifest(
        cell.runtime, cell.device, cell.precision, cell.batch, spec, names, False, variant.quantized
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin_s = time.perf_counter()
        runtime.build(variant, manifest, folder)
        build_s = time.perf_counter() - begin_s
        built, size = read_built(folder), (folder / ENGINE).stat().st_size
    kinds = ", ".join(f"{times} {one}" for one, times in sorted(built.products.items()))
    return Row(cell.workload, stage, cell.recipe, build_s, size, kinds)


def main(capability: str, out: TextIO) -> None:
    """Write the table while it is made; what passes say of their progress is no part of it."""
    versions = artifacts.load_runtime("tensorrt-rtx").probe()
    told = ", ".join(f"{name} {at}" for name, at in versions.items())
    print(f"For {capability}, by {told}:\n", file=out)
    print("| model | stage | types | build | engine | convolutions and products |", file=out)
    print("| --- | --- | --- | ---: | ---: | --- |", file=out)
    refusals: dict[str, str] = {}
    for row in rows(capability):
        types = "fp16" if row.recipe == "fp32" else "INT8 and fp16"
        took = f"{row.build_s:.1f} s" if row.size_bytes else ""
        size = f"{row.size_bytes / 1e6:.1f} MB" if row.size_bytes else ""
        cells = (row.model, row.stage or "whole", types, took, size, row.products)
        print(f"| {' | '.join(cells)} |", file=out, flush=True)
        if row.refusal:
            refusals.setdefault(row.model, row.refusal)
    for model, refusal in refusals.items():
        print(f"\n{model} is not taken whole: {refusal}", file=out)


if __name__ == "__main__":
    with redirect_stdout(sys.stderr):
        main(sys.argv[1] if len(sys.argv) > 1 else "sm_89", sys.__stdout__ or sys.stderr)
