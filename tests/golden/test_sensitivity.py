"""A sensitivity on the scripted engine: the same table in the terminal and in all formats.

Run this file to write the outputs anew.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
from pathlib import Path

import pytest
from click.testing import CliRunner
from sensitivity_net import in_this_process, write_project

from perfsuite.cli import main

HERE = Path(__file__).parent / "test_sensitivity"


def make(folder: Path) -> dict[str, str]:
    """Make the run in `folder`; return its outputs without what no two runs share."""
    write_project(folder)
    with pytest.MonkeyPatch.context() as patch:
        in_this_process(patch, folder)
        given = [f"{folder}/net.py:net", "--by", "stage", "--runtime", "fake", "--threads", "1"]
        made = _called("sensitivity", *given, "-o", str(folder / "out"))
        shown = _called("show", str(folder / "out"))
        # But for the line that tells where it is kept.
        assert made.replace(f"kept in {folder / 'out'}\n", "") == shown
        found = {"terminal.txt": shown}
        for suffix in ("md", "csv", "json"):
            found[f"run.{suffix}"] = _called("report", str(folder / "out"), "--format", suffix)
    found["run.json"] = json.dumps(json.loads(found["run.json"])["sensitivity"], indent=1) + "\n"
    return {name: _masked(text, folder) for name, text in found.items()}


def _called(*arguments: str) -> str:
    done = CliRunner().invoke(main, arguments, catch_exceptions=False)
    return f"{done.stdout}exit code {done.exit_code}\n" if done.exit_code else done.stdout


def _masked(text: str, folder: Path) -> str:
    text = re.sub(r"each, \S+, .*", "each, <when>, <where>", text.replace(str(folder), "<folder>"))
    lines = (line.rstrip() for line in text.splitlines())
    return "\n".join(line for line in lines if line != ",") + "\n"


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return make(tmp_path_factory.mktemp("golden"))


@pytest.mark.parametrize("name", ["terminal.txt", "run.md", "run.csv", "run.json"])
def test_an_output_is_as_it_was(outputs: dict[str, str], name: str) -> None:
    assert outputs[name] == (HERE / name).read_text(encoding="utf-8")


if __name__ == "__main__":
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as name:
        for file, text in make(Path(name)).items():
            (HERE / file).write_text(text, encoding="utf-8")
            print(file, file=sys.stderr)
