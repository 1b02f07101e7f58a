"""The command line: light, documented, and the same as the README says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from stored_run import store_run

from perfsuite import report
from perfsuite.cli import main

HEAVY = ("torch", "onnx", "onnxruntime", "openvino", "sklearn", "scipy")


def commands(group: click.Group = main, before: str = "") -> Iterator[tuple[str, click.Command]]:
    for name, command in sorted(group.commands.items()):
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")
        else:
            yield f"{before}{name}", command


COMMANDS = dict(commands())


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return store_run(tmp_path_factory.mktemp("stored") / "run")


def run_and_list(
    arguments: list[str], *names: str, cwd: Path | None = None
) -> tuple[str, set[str]]:
    """Return the output of `perfsuite arguments`, and which of the modules it loaded."""
    program = (
        "import sys\nfrom perfsuite.cli import main\n"
        f"try: main({arguments!r})\n"
        "except SystemExit as done: code = done.code\n"
        f"print('loaded:', *[name for name in {names!r} if name in sys.modules])\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=cwd, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    output, _, found = done.stdout.rpartition("loaded:")
    return output, set(found.split())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str) -> None:
    text = CliRunner().invoke(main, [*name.split(), "--help"]).output
    example = re.search(r"Example: perfsuite (.*)", text)
    assert example, text
    assert example[1].startswith(name)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_documented(name: str, root: Path) -> None:
    assert f"`perfsuite {name} " in (root / "docs" / "commands.md").read_text()


def test_every_option_is_documented(root: Path) -> None:
    text = "".join(page.read_text() for page in pages(root))
    for name, command in COMMANDS.items():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert any(word in text for word in parameter.opts), f"{name} {parameter.opts}"


def pages(root: Path) -> list[Path]:
    """Return the README and the pages that it leads to."""
    return [root / "README.md", *sorted((root / "docs").glob("*.md"))]


def documented_lines() -> list[str]:
    """Return the `perfsuite` lines of the pages' shell blocks that cost little."""
    text = "".join(page.read_text() for page in pages(Path(__file__).parents[2]))
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    cheap = re.compile(r"perfsuite (init|list|plan|show|gate|report|profile vgg-digits)")
    return list(dict.fromkeys(line for line in lines if cheap.match(line)))


def test_the_pages_have_lines_to_run() -> None:
    assert len(documented_lines()) >= 5


def test_every_link_of_the_pages_leads_somewhere(root: Path) -> None:
    for page in (*pages(root), root / "ARCHITECTURE.md", root / "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_the_lines_of_the_pages_run(root: Path, tmp_path: Path, stored: Path) -> None:
    (tmp_path / "benchmarks").symlink_to(root / "benchmarks", target_is_directory=True)
    for run in ("now", "before"):  # what the lines before a `show` or a `gate` have made
        (tmp_path / run).symlink_to(stored, target_is_directory=True)
    for line in documented_lines():
        arguments = shlex.split(line, comments=True)[1:]
        done = subprocess.run(
            [sys.executable, "-m", "perfsuite", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            check=False,
        )
        assert done.returncode == 0, f"{line}: {done.stderr}"
        assert done.stdout


def test_the_examples_of_the_options_parse(stored: Path) -> None:
    """Every example in a help text names options and arguments that exist."""
    for name, command in COMMANDS.items():
        text = CliRunner().invoke(main, [*name.split(), "--help"]).output
        example = re.search(r"Example: perfsuite (.*)", text)
        assert example
        arguments = shlex.split(example[1])[len(name.split()) :]
        command.make_context(name, arguments, resilient_parsing=False)


def test_the_formats_of_the_package_are_in_the_help() -> None:
    text = CliRunner().invoke(main, ["report", "--help"]).output
    assert all(re.search(rf"\b{name}\b", text) for name in report.FORMATS)


def test_help_is_light() -> None:
    output, found = run_and_list(["--help"], "numpy", "rich", "msgspec", "perfsuite.api", *HEAVY)
    assert "Usage:" in output
    assert found == set()


def test_plan_loads_no_engine(root: Path) -> None:
    output, found = run_and_list(["plan", str(root / "benchmarks" / "demo.toml")], *HEAVY)
    assert "vgg16-cifar10/int8/openvino/cpu/b1" in output
    assert found == set()


@pytest.mark.parametrize(
    "arguments",
    [
        ["show", "RUN"],
        ["show", "RUN", "--json"],
        ["show", "RUN", "RUN"],
        ["gate", "RUN", "--baseline", "RUN"],
        ["report", "RUN", "--format", "md"],
        ["report", "RUN", "--format", "csv"],
        ["report", "RUN", "RUN", "--format", "json"],
    ],
    ids=" ".join,
)
def test_stored_runs_need_no_engine_and_no_plug_in(arguments: list[str], stored: Path) -> None:
    tables = tuple(f"perfsuite.{kind}.table" for kind in ("workloads", "passes", "runtimes"))
    given = [str(stored) if word == "RUN" else word for word in arguments]
    output, found = run_and_list(given, *HEAVY, *tables)
    assert "net/fp32/openvino" in output or "fp32/openvino" in output or "regression" in output
    assert found == set()


def test_a_run_gated_against_itself_passes(stored: Path) -> None:
    done = CliRunner().invoke(main, ["gate", str(stored), "--baseline", str(stored)])
    assert done.exit_code == 0, done.output
