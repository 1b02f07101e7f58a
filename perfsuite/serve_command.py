"""`perfsuite serve`: the runs of a folder in the browser."""

from __future__ import annotations

from pathlib import Path

import click

FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command()
@click.argument("folder", type=FOLDER, default=Path("reports"))
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8471,
    show_default=True,
    help="0: any that is free.",
)
def serve(folder: Path, port: int) -> None:
    """Show all runs of FOLDER, by default `reports`, in the browser.

    An index of the runs, and the page of each, made when it is asked for. It only reads, and
    answers on this machine alone. Ctrl-C ends it.

    Example: perfsuite serve reports/
    """
    from perfsuite.serve.server import serve as serve_runs

    def told(address: str, runs: int) -> None:
        count = f"{runs} run{'s' * (runs != 1)}" if runs else "no runs yet"
        click.echo(f"{folder}: {count}, at {address} (Ctrl-C ends)")

    serve_runs(folder, port, told)
