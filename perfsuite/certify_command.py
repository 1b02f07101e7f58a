"""The command `certify`."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from perfsuite.resumable import resumable

if TYPE_CHECKING:
    from perfsuite.config.run_plan import RunPlan
    from perfsuite.domain.record import Header
    from perfsuite.report.progress.follow import FollowRun
    from perfsuite.report.progress.run import RunProgress


@click.command()
@click.argument("suite", type=click.Path(path_type=Path, dir_okay=False), required=False)
@click.option("--quick", is_flag=True, help="Five minutes instead of about twenty.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="RUN",
    help="Where what was measured is kept.",
)
@click.option("--resume", is_flag=True, help="Go on with one that was cut short.")
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def certify(
    suite: Path | None, quick: bool, output: Path | None, resume: bool, as_json: bool
) -> None:
    """Find out what this machine can see, from slow-downs of known size.

    Cells of SUITE (by default of small nets that come with perfsuite) are measured beside
    themselves, unchanged and slowed down by 3, 5 and 10 %. The certificate says how often gates
    cry wolf here, how many changes they find, and the smallest change to be seen in a given time.
    Later runs show it, and a suite that asks for more than this machine can see is told so.

    The exit code is 3 where changes of 10 % are not found.

    Example: perfsuite certify --quick
    """
    import msgspec
    from rich.console import Console

    from perfsuite import api
    from perfsuite.report import print_certificate
    from perfsuite.report.progress.follow import FollowRun

    follow = FollowRun(Console(stderr=True))
    with resumable(lambda: follow.bar is not None), closing(follow):
        found = api.certify(
            suite,
            output,
            quick=quick,
            resume=resume,
            observe=lambda header, planned: _begun(follow, header, planned),
        )
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found.certificate)).decode())
    else:
        console = Console()
        print_certificate(console, found.certificate, found.warnings)
        console.print(f"kept in {found.file}, measured in {found.folder}", highlight=False)
    sys.exit(found.exit_code)


def _begun(follow: FollowRun, header: Header, planned: RunPlan) -> RunProgress:
    """Say how long it will take, and return the bar."""
    from perfsuite.report.plans import time_text

    cells, rounds = len(header.cells), header.suite.processes
    click.echo(f"{rounds} rounds of {cells} processes: {time_text(planned)}", err=True)
    return follow(header, planned)
