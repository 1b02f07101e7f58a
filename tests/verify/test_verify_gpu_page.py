"""Every command of the page on GPUs, on a machine without a card: it ends as the page says."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from perfsuite.errors import Unavailable
from perfsuite.runtimes.pytorch.runtime import PyTorch

pytestmark = pytest.mark.verify

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "gpus.md").read_text()
LINES = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]
CODES = {"list": 0, "plan": 0, "run": 0, "profile": 2, "doctor": 3, "benchmarks/gpu_check.py": 3}


def test_the_page_has_all_of_them() -> None:
    assert [line.split()[1] for line in LINES] == list(CODES)


@pytest.mark.parametrize("line", LINES)
def test_it_ends_as_the_page_says_and_tells_what_is_missing(line: str, tmp_path: Path) -> None:
    try:
        PyTorch().require("cuda", "fp32")
    except Unavailable:
        pass
    else:
        pytest.skip("there is a card")
    (tmp_path / "benchmarks").symlink_to(ROOT / "benchmarks", target_is_directory=True)
    program, *arguments = shlex.split(line, comments=True)
    module = ["-m", "perfsuite"] if program == "perfsuite" else []
    command = [sys.executable, *module, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    said = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == CODES[arguments[0]], said
    if arguments[0] not in ("list", "plan"):
        assert "torch finds no NVIDIA card" in said or "built for the processor alone" in said
