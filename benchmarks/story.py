"""Runs the commands of docs/story.md that have an output there, and writes their outputs anew.

    python benchmarks/story.py          all of them: some half an hour on two cores
    python benchmarks/story.py profile  those of one command

Runs of before in reports/story are removed first. Leave the machine alone meanwhile: what it
prints stands on the page as figures.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "story.md"
_BLOCK = re.compile(
    r"(?P<shell>```sh\n(?P<command>perfsuite (?P<name>\S+)[^\n]*)\n```\n\n)"
    r"<!-- output -->\n(?:\n```text\n.*?\n```\n)?",
    re.DOTALL,
)


def story(page: str, only: str = "") -> str:
    """Return the page with the outputs of its commands, or of those called `only`."""

    def anew(found: re.Match[str]) -> str:
        if only and found["name"] != only:
            return found[0]
        return f"{found['shell']}<!-- output -->\n\n```text\n{output_of(found['command'])}\n```\n"

    return _BLOCK.sub(anew, page)


def output_of(command: str) -> str:
    """Return what a command prints; raise for one that breaks off."""
    arguments = shlex.split(command)[1:]
    for place, word in enumerate(arguments[:-1]):
        if word == "-o":
            shutil.rmtree(ROOT / arguments[place + 1], ignore_errors=True)
    done = subprocess.run(
        [sys.executable, "-m", "perfsuite", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 2 or not done.stdout.strip():
        raise SystemExit(f"{command}: exit code {done.returncode}\n{done.stderr}")
    # The page is read anywhere: where this machine keeps its files is no part of it.
    text = done.stdout.replace(f"{ROOT}/", "")
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


if __name__ == "__main__":
    PAGE.write_text(story(PAGE.read_text(), *sys.argv[1:2]))
