"""The command line: each command a few lines over one public function."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from perfsuite import __version__
from perfsuite.certify_command import certify
from perfsuite.doctor_command import doctor
from perfsuite.errors import Incomparable, PerfsuiteError
from perfsuite.optimize_command import optimize
from perfsuite.profile_command import profile
from perfsuite.resumable import INTERRUPTED, resumable
from perfsuite.sensitivity_command import sensitivity
from perfsuite.serve_command import serve

# What a command needs is imported inside it: `--help` must not wait for it.
USAGE, CANNOT_JUDGE = 2, 3
FOLDER = click.Path(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path, dir_okay=False)
KINDS = ("workloads", "passes", "students", "runtimes", "formats", "meters", "data")


class _Group(click.Group):
    """Turns whatever is raised into a message and an exit code; 1 says that something regressed."""

    def invoke(self, ctx: click.Context) -> Any:
        _open_missing_streams()
        try:
            return super().invoke(ctx)
        except Incomparable as error:
            _fail(error, CANNOT_JUDGE)
        except PerfsuiteError as error:
            _fail(error, USAGE)
        except KeyboardInterrupt:
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)
        except (BrokenPipeError, SystemExit) as error:
            # rich makes of a pipe that nobody reads an exit with code 1.
            if not isinstance(error.__context__ or error, BrokenPipeError):
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(CANNOT_JUDGE)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except BaseException as error:  # noqa: BLE001 - a mistake, no memory, a full disk
            _fail_if_not_loaded(error)
            traceback.print_exc()
            sys.exit(CANNOT_JUDGE)


def _open_missing_streams() -> None:
    """Open standard streams that are closed (`>&-`) to nowhere, before a file gets their number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode))  # noqa: SIM115 - for good


def _fail_if_not_loaded(error: BaseException) -> None:
    """End with a word if a package that every command needs, such as NumPy, cannot be loaded."""
    from perfsuite.libraries.faults.missing import missing_in

    if (found := missing_in(error, "a package")) is not None:
        click.echo(f"error: {found.message}; {found.fix}", err=True)
        sys.exit(USAGE)


def _fail(error: PerfsuiteError, code: int) -> None:
    click.echo(f"error: {error}", err=True)
    sys.exit(code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="perfsuite")
def main() -> None:
    """Make computer-vision models fast, and prove it.

    \b
    Example, from nothing to a verdict:
      perfsuite init . && perfsuite run suite.toml

    \b
    Exit codes, where several hold 2 before 1 before 3:
      0  every verdict passed
      1  regressed or over budget, or not run on what is required
      2  usage or configuration; a cell that cannot be built, or is unexpectedly
         unsupported or unavailable
      3  cannot judge: inconclusive, another machine, a crash, a hang
      130  interrupted; what was finished is kept
    """


main.add_command(certify)
main.add_command(optimize)
main.add_command(profile)
main.add_command(sensitivity)
main.add_command(doctor)
main.add_command(serve)


@main.command()
@click.argument("folder", type=FOLDER, default=Path())
def init(folder: Path) -> None:
    """Write a suite and a my_models.py to start from.

    Example: perfsuite init my-project
    """
    from perfsuite import api

    for path in api.init(folder):
        click.echo(f"wrote {path}")
    click.echo(f"next: perfsuite run {folder / 'suite.toml'}")


@main.command("list")
@click.argument("kind", type=click.Choice(KINDS), required=False)
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def list_(kind: str | None, as_json: bool) -> None:
    """List what a suite may name: workloads, passes, runtimes, ...; also formats and data sets.

    Example: perfsuite list runtimes
    """
    from perfsuite import api
    from perfsuite.report.fitting import listed, width_of_output

    found = api.listing(kind)
    if as_json:
        _print_json(found)
        return
    for heading, entries in found.items():
        click.echo(f"{heading}:")
        for line in listed(entries, width_of_output()):
            click.echo(line)


@main.group()
def data() -> None:
    """Fetch and verify data sets.

    Example: perfsuite data get cifar10
    """


@data.command("get")
@click.argument("name")
def data_get(name: str) -> None:
    """Fetch the data set NAME and verify it by content.

    Example: perfsuite data get cifar10
    """
    from perfsuite import api
    from perfsuite.report.progress.download import DownloadProgress

    with DownloadProgress() as show:
        folder = api.get_data(name, show)
    click.echo(f"{name}: verified, in {folder}")


SELECTION = (
    click.argument("suite", type=FILE),
    click.option(
        "--only",
        metavar="GLOB",
        multiple=True,
        help="Only cells whose key matches; may be given several times.",
    ),
    click.option("--quick", is_flag=True, help="A first look: too little to be believed."),
)


def _selection(command: Callable[..., None]) -> Callable[..., None]:
    for decorate in reversed(SELECTION):
        command = decorate(command)
    return command


@main.command()
@_selection
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def plan(suite: Path, only: tuple[str, ...], quick: bool, as_json: bool) -> None:
    """Show the cells of SUITE and how long they may take; run and write nothing.

    Example: perfsuite plan benchmarks/demo.toml
    """
    from perfsuite import api
    from perfsuite.report import plan_document, plan_text
    from perfsuite.report.fitting import width_of_output

    found = api.plan(suite, only=only, quick=quick)
    if as_json:
        _print_json(plan_document(found))
        return
    click.echo(plan_text(found, width_of_output()))


@main.command()
@_selection
@click.option("-o", "--output", type=FOLDER, metavar="RUN", help="Where the run is kept.")
@click.option(
    "--baseline",
    type=FOLDER,
    metavar="RUN",
    help="A stored run to hold against; where its artifacts are, they are measured beside.",
)
@click.option(
    "--keep-artifacts",
    is_flag=True,
    help="Copy what was built into RUN, so that RUN can be a baseline on any machine.",
)
@click.option("--resume", is_flag=True, help="Go on with a run that was cut short.")
@click.option("--html", is_flag=True, help="Also write RUN/report.html, a page for the browser.")
def run(
    suite: Path,
    only: tuple[str, ...],
    quick: bool,
    output: Path | None,
    baseline: Path | None,
    keep_artifacts: bool,
    resume: bool,
    html: bool,
) -> None:
    """Measure the cells of SUITE, judge them once, print the table and the verdicts.

    Example: perfsuite run benchmarks/demo.toml -o reports/demo
    """
    from rich.console import Console

    from perfsuite import api
    from perfsuite.report import PAGE, print_run, write_report
    from perfsuite.report.progress.follow import FollowRun

    console, follow = Console(), FollowRun(Console(stderr=True))
    with resumable(lambda: follow.bar is not None), closing(follow):
        judged = api.run(
            suite,
            output,
            baseline=baseline,
            only=only,
            quick=quick,
            resume=resume,
            keep_artifacts=keep_artifacts,
            observe=follow,
        )
    print_run(console, judged.run, judged.judgement)
    console.print(f"kept in {judged.folder}", highlight=False)
    if html:
        write_report(judged.folder / PAGE, judged.report("html"))
        console.print(f"wrote {judged.folder / PAGE}", highlight=False)
    sys.exit(judged.exit_code)


@main.command()
@click.argument("run", type=FOLDER)
@click.argument("other", type=FOLDER, required=False)
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def show(run: Path, other: Path | None, as_json: bool) -> None:
    """Show one stored RUN, held against its baseline if it has one, or how OTHER compares with it.

    Example: perfsuite show reports/before reports/after
    """
    from rich.console import Console

    from perfsuite import api
    from perfsuite.report import comparison_document, print_comparison, print_run

    if other is not None:
        comparison = api.compare(run, other)
        if as_json:
            _print_json(comparison_document(comparison))
        else:
            print_comparison(Console(), comparison)
    elif as_json:
        click.echo(api.report(run, "json"))
    else:
        shown = api.show(run)
        print_run(Console(), shown.run, shown.judgement)


@main.command()
@click.argument("run", type=FOLDER)
@click.option("--baseline", type=FOLDER, required=True, help="The stored run to hold against.")
@click.option("--json", "as_json", is_flag=True, help="For a program to read.")
def gate(run: Path, baseline: Path, as_json: bool) -> None:
    """Judge a stored RUN against a baseline, from stored runs alone; the exit code tells.

    Example: perfsuite gate reports/now --baseline reports/before
    """
    from rich.console import Console

    from perfsuite import api
    from perfsuite.report import judgement_document, print_verdicts

    judged = api.gate(run, baseline)
    judgement = judged.judgement
    if as_json:
        _print_json(judgement_document(judgement))
    else:
        print_verdicts(Console(), judgement, judged.run.header.certificate)
    sys.exit(judgement.exit_code)


@main.command()
@click.argument("run", type=FOLDER)
@click.argument("baseline", type=FOLDER, required=False)
@click.option(
    "--format", "format_", metavar="F", help="md, html, csv or json; default: as FILE ends."
)
@click.option("-o", "--output", type=FILE, help="A file instead of the terminal.")
def report(run: Path, baseline: Path | None, format_: str | None, output: Path | None) -> None:
    """Write a stored RUN, or how it compares with BASELINE, as Markdown, HTML, CSV or JSON.

    With BASELINE, another stored run, it tells what became faster, slower, more or less accurate
    since then, and judges RUN against it; without, against the run's own baseline, if it has one.
    Of HTML that is one page for the browser.

    A format of your own is file.py:name; `perfsuite list formats` lists those that are installed.

    Example: perfsuite report reports/now reports/before -o change.html
    """
    from perfsuite import api
    from perfsuite.report import format_of_file, write_report

    text = api.report(run, format_ or format_of_file(output), baseline)
    if output is None:
        click.echo(text)
        return
    write_report(output, text)
    click.echo(f"wrote {output}")


def _print_json(value: object) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(value)).decode())


if __name__ == "__main__":
    main()
