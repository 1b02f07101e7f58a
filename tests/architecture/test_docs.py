"""The pages: the site is made of them strictly, the README is short, every command line parses."""

from __future__ import annotations

import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest

from perfsuite.cli import main

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))


def command_lines() -> list[str]:
    """Return every line of a block of code that starts perfsuite, without what is built around."""
    found = list[str]()
    for page in PAGES:
        blocks = re.findall(r"```(?:sh|yaml)\n(.*?)```", page.read_text(), re.DOTALL)
        text = "\n".join(blocks).replace("\\\n", " ")
        found += re.findall(
            r"^\s*(?:- )?(?:run: )?(?:\w+=\S+ )*(perfsuite .*)$", text, re.MULTILINE
        )
    return sorted(set(found))


@pytest.fixture
def story() -> ModuleType:
    spec = importlib.util.spec_from_file_location("story", ROOT / "benchmarks" / "story.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_site_is_made_strictly(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="pip install 'perfsuite[dev]'")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", tmp_path / "site"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    made = {page.stem for page in (tmp_path / "site").glob("*.html")}
    assert {page.stem for page in PAGES[1:]} | {"index", "RESULTS", "CONTRIBUTING"} <= made
    for page in (tmp_path / "site").glob("*.html"):
        fetched = re.findall(
            r'<(?:script|img|link)[^>]*(?:src|href)="(http[^"]*)"', page.read_text()
        )
        assert not fetched, page.name


def test_the_readme_is_read_in_five_minutes() -> None:
    assert len(PAGES[0].read_text().splitlines()) <= 150


def test_there_are_command_lines() -> None:
    assert len(command_lines()) >= 30


@pytest.mark.parametrize("line", command_lines())
def test_every_command_line_parses(
    line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Options and arguments exist, whatever a line would take."""
    alone = re.split(r"\s*(?:&&|\||;|>+)\s", line)[0]
    arguments = shlex.split(alone, comments=True)[1:]
    command: click.Command = main
    context: click.Context | None = None
    monkeypatch.chdir(tmp_path)
    while isinstance(command, click.Group):
        assert arguments, line
        context = click.Context(command, parent=context, info_name=command.name)
        _, found, arguments = command.resolve_command(context, arguments)
        assert found is not None, line
        command = found
    if "--help" in arguments:
        return
    for parameter in command.params:  # what lines before have made is not here
        if isinstance(parameter.type, click.Path):
            monkeypatch.setattr(parameter.type, "exists", False)
    command.make_context(command.name, arguments, parent=context)


def test_outputs_of_the_story_are_written_anew_in_their_places(
    story: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(story, "output_of", lambda command: f"<{command}>")
    page = (
        "a\n\n```sh\nperfsuite plan x.toml\n```\n\n<!-- output -->\n\n```text\nold\n```\n\nb\n\n"
        "```sh\nperfsuite run x.toml\n```\n\n<!-- output -->\n\nc\n\n```sh\nperfsuite doctor\n```\n"
    )
    first = story.story(page, "plan")
    assert "old" not in first
    assert "<!-- output -->\n\n```text\n<perfsuite plan x.toml>\n```\n\nb\n" in first
    assert "<perfsuite run" not in first
    both = story.story(first)
    assert "<!-- output -->\n\n```text\n<perfsuite run x.toml>\n```\n\nc\n" in both
    assert story.story(both) == both
    assert len(story._BLOCK.findall((ROOT / "docs" / "story.md").read_text())) == 4
