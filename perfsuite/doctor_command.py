"""The command `doctor`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from perfsuite.config.run_plan import RunPlan
    from perfsuite.domain.record import Header
    from perfsuite.report.progress.follow import FollowRun
    from perfsuite.report.progress.run import RunProgress

# What the command needs is imported inside it: `--help` must not wait for it.
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("workload", required=False)
@click.option("--runtime", "runtimes", metavar="E", multiple=True, help="Default: every engine.")
@click.option("--recipe", metavar="R", help="fp32, the default, or a pass, such as int8.")
@click.option("--device", default="cpu", show_default=True, help="Or a card: cuda.")
@click.option("--precision", default="fp32", show_default=True, help="Or tf32, fp16, bf16.")
@click.option("--batch", type=click.IntRange(min=1), help="Default: 1, of the small net 16.")
@click.option("--threads", type=click.IntRange(min=1), help="Default: every core.")
@click.option("--samples", type=FILE, help="Inputs of an ONNX file: an .npz file.")
@click.option(
    "--shape",
    "shapes",
    metavar="X=1x3x640x640",
    multiple=True,
    help="The sides of an ONNX file's input; `batch` for the one that counts samples.",
)
@click.option("--ablate", is_flag=True, help="What each library is worth, by turning it off.")
@click.option("--across", is_flag=True, help="What INT8 answers on processors without VNNI.")
@click.option(
    "--minutes",
    type=click.FloatRange(min=0, min_open=True),
    metavar="M",
    help="How long each of these two may take, about.  [default: 5 and 4]",
)
@click.option("-o", "--output", type=FOLDER, metavar="RUN", help="Where what was seen is kept.")
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def doctor(
    workload: str | None,
    runtimes: tuple[str, ...],
    recipe: str | None,
    device: str,
    precision: str,
    batch: int | None,
    threads: int | None,
    samples: Path | None,
    shapes: tuple[str, ...],
    ablate: bool,
    across: bool,
    minutes: float | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Show which libraries compute, proven by what ran, and what is wrong with them.

    Without WORKLOAD a small net of perfsuite's own runs on every engine, in fp32 and in INT8. With
    it (a name, file.py:name or file.onnx) the kernel of each layer of that model is shown. With
    --device cuda it is the engines that run on a card.

    The exit code is 1 where a fault was found, and 3 where nothing could be looked at.

    Example: perfsuite doctor vgg-digits --runtime onnxruntime
    """
    import msgspec
    from rich.console import Console

    from perfsuite import doctor_run
    from perfsuite.config.shapes import parse_shapes
    from perfsuite.report.doctor import print_doctor
    from perfsuite.report.progress.follow import FollowRun

    if minutes is not None and not (ablate or across):
        raise click.UsageError("--minutes says how long --ablate or --across may take: give one")
    console, follow = Console(), FollowRun(Console(stderr=True))
    try:
        found = doctor_run.doctor(
            workload,
            output,
            runtimes=runtimes,
            recipe=recipe,
            batch=batch,
            threads=threads,
            samples=samples,
            shapes=parse_shapes(shapes),
            device=device,
            precision=precision,
            ablate=ablate,
            across=across,
            minutes=minutes,
            say=lambda text: click.echo(text, err=True),
            observe=lambda header, planned: _begun(follow, header, planned),
        )
    finally:
        follow.close()
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found.diagnosis)).decode())
    else:
        print_doctor(console, found.diagnosis, found.ablation, found.across)
        console.print(f"kept in {found.folder}", highlight=False)
    sys.exit(found.exit_code)


def _begun(follow: FollowRun, header: Header, planned: RunPlan) -> RunProgress:
    """Return the bar of a run that begins; that of the run before is taken away."""
    follow.close()
    return follow(header, planned)
