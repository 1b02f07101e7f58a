"""Whole outputs of one run, compared with files; run this file to write them anew."""

from __future__ import annotations

import io
import re
import sys
from pathlib import Path

import pytest
from reported_run import run
from rich.console import Console

from perfsuite.judge import compare, judge
from perfsuite.report import print_comparison, print_run, print_verdicts, render

HERE = Path(__file__).parent / "test_report"


def _printed(width: int, encoding: str = "utf-8", *, two: bool = False) -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding)
    console = Console(file=stream, width=width, force_terminal=True, color_system=None)
    if two:
        print_comparison(console, compare(run(), run(1.2)))
    else:
        print_run(console, run(), judge(run(), run(0.8)))
    stream.flush()
    return "\n".join(one.rstrip() for one in stream.buffer.getvalue().decode().split("\n"))


def _verdicts() -> str:
    stream = io.StringIO()
    print_verdicts(Console(file=stream), judge(run(), run(0.8)))
    return stream.getvalue()


OUTPUTS = {
    "terminal.txt": lambda: _printed(120),
    "narrow.txt": lambda: _printed(100),
    "ascii.txt": lambda: _printed(120, "ascii"),
    "eighty.txt": lambda: _printed(80),
    "verdicts.txt": lambda: _verdicts(),
    "comparison.txt": lambda: _printed(110, two=True),
    "run.md": lambda: render(run(), judge(run()), "md"),
    "run.csv": lambda: render(run(), judge(run()), "csv"),
    "run.json": lambda: render(run(), judge(run()), "json"),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_output_is_as_it_was(name: str) -> None:
    golden = (HERE / name).read_text(encoding="utf-8")
    assert _rounded(OUTPUTS[name]()) == _rounded(golden)


def _rounded(text: str) -> str:
    """Return the text without the last digits of floats, which differ between processors."""
    return re.sub(r"\d+\.\d{9,}(e-?\d+)?", lambda found: f"{float(found[0]):.9g}", text)


def _write_all() -> None:
    HERE.mkdir(exist_ok=True)
    for name, make in OUTPUTS.items():
        (HERE / name).write_text(make(), encoding="utf-8")
        sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    _write_all()
