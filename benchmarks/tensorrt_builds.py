"""How long TensorRT for RTX takes to build engines on a machine without a card, and their size.

    python benchmarks/tensorrt_builds.py [FOLDER [CAPABILITY...]]

For cards of each compute capability, by default sm_86 and sm_120, it builds VGG-16, ShuffleNetV2,
ResNet-101, and the stages of a Faster R-CNN on ResNet-101, which it does not take whole: each in
fp16, and in INT8 with fp16 around it. It prints Markdown tables, with the time that a build takes,
the time that it has the processor's cores, and the types of each engine's products. INT8 is
calibrated on four samples: what is built does not depend on the ranges. Exports and calibration are
cached, and not in the times.

Each model is written into FOLDER (by default reports/tensorrt-builds) once it is built, so that a
command that was cut short goes on there. Its progress is on the standard error.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from pathlib import Path

import msgspec

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
CAPABILITIES = ("sm_86", "sm_120")  # of Ampere and of Blackwell, for desktops
SAMPLES = 4  # to calibrate with


class Row(msgspec.Struct, frozen=True):
    """One engine."""

    stage: str  # '' for the whole model
    build_s: float
    processor_s: float  # of all its cores, which other programs change less
    size_bytes: int  # 0 where the engine takes no such graph
    products: str  # how many are of which type, or why there are none
    refusal: str = ""  # why the model was not built whole


class Done(msgspec.Struct, frozen=True):
    """All engines of one model: what they were built by, for which cards, and of which types."""

    versions: dict[str, str]
    capability: str
    model: str
    recipe: str
    rows: list[Row]


def built(capabilities: Sequence[str], file: Path) -> Iterator[Done]:
    """Yield what `file` has of each model, and what is built now, which is added to it."""
    recipe = Recipe("int8", passes=[Int8(calibration_samples=SAMPLES)])
    suite = Suite(
        name="tensorrt-builds",
        workloads=list(MODELS),
        runtimes=["tensorrt-rtx"],
        devices=list(capabilities),
        precision=["fp16"],
        recipes=[recipe],
        threads=2,
    )
    resolved, cells, _ = load_suite(suite, ())
    versions = artifacts.load_runtime("tensorrt-rtx").probe()
    lines = file.read_bytes().splitlines() if file.exists() else []
    before = [msgspec.json.decode(line, type=Done) for line in lines]
    known = {
        (one.capability, one.model, one.recipe): one for one in before if one.versions == versions
    }
    for cell in cells:
        done = known.get((cell.device, cell.workload, cell.recipe))
        if done is None:
            rows = []
            for row in engines(resolved, cell):
                rows.append(row)
                print(f"{cell.key}: {row.stage or 'whole'}: {row.build_s:.1f} s", file=sys.stderr)
            done = Done(versions, cell.device, cell.workload, cell.recipe, rows)
            with file.open("ab") as out:
                out.write(msgspec.json.encode(done) + b"\n")
        yield done


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
            row = Row(piece.path, 0.0, 0.0, 0, left)
        yield msgspec.structs.replace(row, refusal=refusal or found.whole)


def timed(runtime: Runtime, cell: Cell, variant: Variant, stage: str) -> Row:
    """Build one graph, and say how long that took."""
    assert variant.graph is not None
    spec, names = graph_spec(load_graph(variant.graph))
    manifest = Manifest(
        cell.runtime, cell.device, cell.precision, cell.batch, spec, names, False, variant.quantized
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        begin_s, before_s = time.perf_counter(), time.process_time()
        runtime.build(variant, manifest, folder)
        build_s, processor_s = time.perf_counter() - begin_s, time.process_time() - before_s
        made, size = read_built(folder), (folder / ENGINE).stat().st_size
    kinds = ", ".join(f"{times} {one}" for one, times in sorted(made.products.items()))
    return Row(stage, build_s, processor_s, size, kinds)


def tables(found: Sequence[Done]) -> Iterator[str]:
    """Yield the lines of one table for each compute capability."""
    for capability in dict.fromkeys(one.capability for one in found):
        those = [one for one in found if one.capability == capability]
        told = ", ".join(f"{name} {at}" for name, at in those[0].versions.items())
        yield from (f"For {capability}, by {told}:", "")
        yield "| model | stage | types | build | cores | engine | convolutions and products |"
        yield "| --- | --- | --- | ---: | ---: | ---: | --- |"
        for one in those:
            types = "fp16" if one.recipe == "fp32" else "INT8 and fp16"
            for row in one.rows:
                figures = [f"{row.build_s:.1f} s", f"{row.processor_s:.1f} s"]
                figures += [f"{row.size_bytes / 1e6:.1f} MB"]
                shown = figures if row.size_bytes else [""] * len(figures)
                cells = (one.model, row.stage or "whole", types, *shown, row.products)
                yield f"| {' | '.join(cells)} |"
        yield ""
    refusals = {one.model: row.refusal for one in found for row in one.rows if row.refusal}
    for model, refusal in refusals.items():
        yield f"{model} is not taken whole: {refusal}"


def main(folder: Path, capabilities: Sequence[str]) -> None:
    """Build what is not built yet, and print the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    with redirect_stdout(sys.stderr):  # what passes say of their progress is no part of the tables
        found = list(built(capabilities, folder / "engines.jsonl"))
    print("\n".join(tables(found)))


if __name__ == "__main__":
    given = sys.argv[1:]
    main(Path(given[0] if given else "reports/tensorrt-builds"), given[1:] or CAPABILITIES)
