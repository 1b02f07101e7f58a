"""Puts what a recipe has trained among the entries of the cache that come with perfsuite.

    python benchmarks/ship_trained.py SUITE --workload vgg16-cifar10 --recipe quarter

The training must be in the cache. Its tensors ship in half precision, with a card that has their
SHA-256, the recipe, and the metric of the net as it is loaded again, on all test samples, by eager
PyTorch. The entry of this machine's cache is removed, so that it uses what ships. Names are those
of cells: `--workload vgg16-cifar10`.
"""

from __future__ import annotations

import argparse
import shutil
from importlib.metadata import version
from pathlib import Path

import msgspec

from perfsuite.config.loading import load_suite
from perfsuite.domain.cell import Cell
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.domain.task import main_metric
from perfsuite.errors import ConfigError
from perfsuite.runner.build import artifacts
from perfsuite.runner.build.edits import read_edits, write_halved
from perfsuite.runner.build.steps import steps_of
from perfsuite.runner.build.variants import VariantBuilder
from perfsuite.runner.build.workload import workload_of
from perfsuite.runner.job import Job, first_job
from perfsuite.runtimes.pytorch.runtime import run_module
from perfsuite.store.cache import SHIPPED, Cache
from perfsuite.store.disk import replacing
from perfsuite.workloads.zoo.weights import card_line


def main() -> None:
    """Write the entry, and say what it scores."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("suite", type=Path)
    parser.add_argument("--workload", required=True)
    parser.add_argument("--recipe", required=True)
    asked = parser.parse_args()
    suite, cells, _ = load_suite(asked.suite)
    named = [one for one in cells if (one.workload, one.recipe) == (asked.workload, asked.recipe)]
    if not named:
        raise SystemExit(f"{asked.suite}: it has no cell of {asked.recipe} on {asked.workload}")
    folder = ship(suite, named[0])
    card = folder / "edits.half.md"
    card.write_text(card.read_text() + "\n".join(scored(suite, named[0])))
    print(card.read_text())


def ship(suite: ResolvedSuite, cell: Cell) -> Path:
    """Return the folder of the entry, written anew, with a card that lacks the score."""
    job = first_job(suite, cell)
    builder = _builder(job)
    cache = Cache()
    own = cache.root / "edits" / builder.edits_key
    if not own.is_dir():
        raise SystemExit(f"{cell.key}: its training is not in the cache; run the suite first")
    final = SHIPPED / "edits" / builder.edits_key
    shutil.rmtree(final, ignore_errors=True)
    with replacing(final) as beside:
        beside.mkdir(parents=True)
        file = write_halved(beside, read_edits(own))
        (beside / "edits.half.md").write_text("\n".join([*_card(suite, job, file), ""]))
    shutil.rmtree(own)
    return final


def scored(suite: ResolvedSuite, cell: Cell) -> list[str]:
    """Return the line of the card with the main metric of the net as it ships."""
    job = first_job(suite, cell)
    builder = _builder(job)
    module, task = builder.rebuild(), builder.workload.task
    rows = task.rows(lambda inputs: run_module(module, inputs), None)
    told = f"{main_metric(task, rows):.2%} of {len(rows):,} test samples"
    return [f"| {next(iter(task.metrics()))}, measured on these tensors as loaded | {told} |", ""]


def _card(suite: ResolvedSuite, job: Job, file: Path) -> list[str]:
    passes = msgspec.json.encode(job.recipe.passes).decode()
    return [
        f"# {job.cell.workload}, {job.recipe.name}",
        "",
        f"Tensors in half precision ({file.stat().st_size:,} bytes), trained by a recipe.",
        "",
        "| | |",
        "|---|---|",
        card_line(file),
        f"| command | `perfsuite run benchmarks/{suite.name}.toml` |",
        f"| passes | `{passes}` |",
        f"| torch | {version('torch')} |",
    ]


def _builder(job: Job) -> VariantBuilder:
    runtime = artifacts.load_runtime(job.runtime)
    workload = workload_of(job)
    return VariantBuilder(workload, job, steps_of(job, runtime), runtime, Cache())


if __name__ == "__main__":
    try:
        main()
    except ConfigError as error:
        raise SystemExit(str(error)) from error
