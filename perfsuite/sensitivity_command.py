"""The command `sensitivity`."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from perfsuite.resumable import resumable

if TYPE_CHECKING:
    from perfsuite.config.run_plan import RunPlan
    from perfsuite.domain.record import Header
    from perfsuite.report.progress.follow import FollowRun
    from perfsuite.report.progress.run import RunProgress


@click.command()
@click.argument("workload")
@click.option(
    "--pass", "passes", metavar="P", multiple=True, help="Default: int8. More: prune, lowrank."
)
@click.option("--by", type=click.Choice(("layer", "stage")), default="layer", show_default=True)
@click.option("--runtime", metavar="R", default="onnxruntime", show_default=True)
@click.option(
    "--layers", metavar="PATTERN", multiple=True, help="Only these: names, modules, patterns."
)
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Default: every core.")
@click.option(
    "--samples",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Inputs of an ONNX file: an .npz file.",
)
@click.option(
    "--shape", "shapes", metavar="X=1x3x640x640", multiple=True, help="The sides of its input."
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="RUN",
    help="Where the run is kept.",
)
@click.option("--resume", is_flag=True, help="Go on with one that was cut short.")
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def sensitivity(
    workload: str,
    passes: tuple[str, ...],
    by: Literal["layer", "stage"],
    runtime: str,
    layers: tuple[str, ...],
    batch: int,
    threads: int | None,
    samples: Path | None,
    shapes: tuple[str, ...],
    output: Path | None,
    resume: bool,
    as_json: bool,
) -> None:
    """Find out what each layer or stage of WORKLOAD loses and gains if it alone is compressed.

    WORKLOAD is a name, file.py:name or file.onnx. For each layer and pass: points lost on
    validation samples, time saved against fp32 on the same engine, and points for each millisecond;
    the worst first. Nothing is trained.

    Example: perfsuite sensitivity vgg-digits --by layer --runtime openvino
    """
    from rich.console import Console

    from perfsuite.config.shapes import parse_shapes
    from perfsuite.report import print_run
    from perfsuite.report.progress.follow import FollowRun
    from perfsuite.sensitivity_run import sensitivity as run_sensitivity

    follow = FollowRun(Console(stderr=True))
    asked = passes or ("int8",)
    click.echo(f"asking which parts of {workload} {' and '.join(asked)} can change", err=True)
    with resumable(lambda: follow.bar is not None), closing(follow):
        judged = run_sensitivity(
            workload,
            output,
            passes=asked,
            by=by,
            runtime=runtime,
            layers=layers,
            batch=batch,
            threads=threads,
            samples=samples,
            shapes=parse_shapes(shapes),
            resume=resume,
            observe=lambda header, planned: _begun(follow, header, planned),
        )
    if as_json:
        click.echo(judged.report("json"))
    else:
        console = Console()
        print_run(console, judged.run, judged.judgement)
        console.print(f"kept in {judged.folder}", highlight=False)
    sys.exit(judged.exit_code)


def _begun(follow: FollowRun, header: Header, planned: RunPlan) -> RunProgress:
    """Say how long it will take, and return the bar."""
    from perfsuite.report.plans import time_text

    asked = header.suite.sensitivity
    units = len(asked.units) if asked else 0
    click.echo(
        f"{units} {asked.by if asked else 'part'}s to compress alone, each measured in "
        f"{header.suite.processes} processes: {time_text(planned)}",
        err=True,
    )
    return follow(header, planned)
