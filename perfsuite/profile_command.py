"""The command `profile`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

# What the command needs is imported inside it: `--help` must not wait for it.
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)


@click.command()
@click.argument("workload")
@click.option("--runtime", "runtimes", metavar="E", multiple=True, help="Default: every engine.")
@click.option("--recipe", metavar="R", default="fp32", show_default=True, help="Or a pass: int8.")
@click.option("--device", default="cpu", show_default=True, help="Or a card: cuda.")
@click.option("--precision", default="fp32", show_default=True, help="Or tf32, fp16, bf16.")
@click.option("--batch", type=click.IntRange(min=1), default=1, show_default=True)
@click.option("--threads", type=click.IntRange(min=1), help="Default: every core.")
@click.option("--input", "picture", type=FILE, help="A picture in place of the task's own inputs.")
@click.option("--samples", type=FILE, help="Inputs of an ONNX file: an .npz file.")
@click.option(
    "--shape",
    "shapes",
    metavar="X=1x3x640x640",
    multiple=True,
    help="The sides of an ONNX file's input; `batch` for the one that counts samples.",
)
@click.option("--depth", type=click.IntRange(min=1), default=2, help="Levels of the tree.")
@click.option("--flamegraph", is_flag=True, help="Also what py-spy sees of eager PyTorch.")
@click.option(
    "-o", "--output", type=FOLDER, metavar="DIR", help="The folder for breakdown and trace."
)
@click.option("--html", is_flag=True, help="Also write DIR/report.html, a page for the browser.")
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def profile(
    workload: str,
    runtimes: tuple[str, ...],
    recipe: str,
    device: str,
    precision: str,
    batch: int,
    threads: int | None,
    picture: Path | None,
    samples: Path | None,
    shapes: tuple[str, ...],
    depth: int,
    flamegraph: bool,
    output: Path | None,
    html: bool,
    as_json: bool,
) -> None:
    """Show where the time of WORKLOAD goes: stages, operators, the bottleneck; write a trace.

    WORKLOAD is a name, file.py:name or file.onnx. Every engine that can run it on the device is
    profiled, unless --runtime names some.

    Example: perfsuite profile vgg-digits --runtime onnxruntime --depth 3
    """
    import msgspec
    from rich.console import Console

    from perfsuite import api
    from perfsuite.config.shapes import parse_shapes
    from perfsuite.report import PAGE, print_profile, profile_document, write_report
    from perfsuite.report.progress.follow import FollowRun

    console, follow = Console(), FollowRun(Console(stderr=True))
    try:
        judged = api.profile(
            workload,
            output,
            runtimes=runtimes,
            recipe=recipe,
            batch=batch,
            threads=threads,
            picture=picture,
            samples=samples,
            shapes=parse_shapes(shapes),
            device=device,
            precision=precision,
            flamegraph=flamegraph,
            observe=follow,
        )
    finally:
        follow.close()
    if html:
        write_report(judged.folder / PAGE, judged.report("html"))
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(profile_document(*judged))).decode())
    else:
        print_profile(console, judged.run, judged.judgement, depth)
        console.print(f"kept in {judged.folder}", highlight=False)
        if html:
            console.print(f"wrote {judged.folder / PAGE}", highlight=False)
    sys.exit(judged.exit_code)
