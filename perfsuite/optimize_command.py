"""The command `optimize`."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from perfsuite.resumable import resumable

if TYPE_CHECKING:
    from perfsuite.search.optimizing import Optimized

# What the command needs is imported inside it: `--help` must not wait for it.
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("workload")
@click.option("--speedup", type=float, required=True, help="How many times as fast it must become.")
@click.option(
    "--max-drop-points", type=float, required=True, help="Percentage points that it may lose."
)
@click.option(
    "--versus", metavar="E/PRECISION", help="What it is compared with.  [default: pytorch/fp32]"
)
@click.option("--runtime", "runtimes", metavar="E", multiple=True, help="Default: every engine.")
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Default: every core.")
@click.option(
    "--minutes",
    type=float,
    default=60.0,
    show_default=True,
    help="Then nothing new begins, and a tenth later all is cut off but the last run of the best.",
)
@click.option("--samples", type=FILE, help="Samples of an ONNX file: an .npz file.")
@click.option(
    "--shape",
    "shapes",
    metavar="X=1x3x640x640",
    multiple=True,
    help="The sides of an ONNX file's input; `batch` for the one that counts samples.",
)
@click.option("--ship", type=FOLDER, metavar="DIR", help="Where what meets the target is put.")
@click.option("-o", "--output", type=FOLDER, metavar="DIR", help="The folder of the search.")
@click.option("--resume", is_flag=True, help="Go on with one that was cut short.")
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def optimize(
    workload: str,
    speedup: float,
    max_drop_points: float,
    versus: str | None,
    runtimes: tuple[str, ...],
    batch: int,
    threads: int | None,
    minutes: float,
    samples: Path | None,
    shapes: tuple[str, ...],
    ship: Path | None,
    output: Path | None,
    resume: bool,
    as_json: bool,
) -> None:
    """Search for the recipe, engine and precision that make WORKLOAD fast enough.

    WORKLOAD is a name, file.py:name or file.onnx. What trains nothing is tried first; what must be
    trained is timed before, and trained only if it can still meet the target. Candidates are judged
    on validation samples; the best and the Pareto front then on the test samples, once.

    The exit code is 0 where the target is met, 1 where it is not, 3 where that cannot be told.

    Example: perfsuite optimize vgg16-cifar10 --speedup 5 --max-drop-points 1 --minutes 10
    """
    from rich.console import Console

    from perfsuite.config.shapes import parse_shapes
    from perfsuite.report.progress.follow import FollowSearch
    from perfsuite.search.optimizing import optimize as search

    follow = FollowSearch(Console(stderr=True))
    with resumable(lambda: follow.begun), closing(follow):
        found = search(
            workload,
            output,
            speedup=speedup,
            max_drop_points=max_drop_points,
            versus=versus,
            runtimes=runtimes,
            batch=batch,
            threads=threads,
            minutes=minutes,
            samples=samples,
            shapes=parse_shapes(shapes),
            ship=ship,
            resume=resume,
            observe=lambda: follow,
        )
    _print(found, as_json=as_json)
    sys.exit(found.exit_code)


def _print(found: Optimized, *, as_json: bool) -> None:
    import msgspec
    from rich.console import Console

    from perfsuite.report import optimum_document, print_optimum

    console = Console(stderr=as_json)
    if as_json:
        document = optimum_document(found.optimum)
        click.echo(msgspec.json.format(msgspec.json.encode(document)).decode())
    else:
        print_optimum(console, found.optimum)
    if found.shipped is not None:
        console.print(f"shipped to {found.shipped}", highlight=False)
    if found.elsewhere:
        console.print(found.elsewhere, highlight=False, markup=False)
    if found.not_shipped:
        console.print(f"not shipped: {found.not_shipped}", style="yellow", markup=False)
    console.print(f"kept in {found.folder}", highlight=False)
