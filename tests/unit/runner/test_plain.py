"""The process without an engine: its evidence, or a word on why there is none."""

from __future__ import annotations

import os
import sys

import pytest

from perfsuite.domain.record import Evidence
from perfsuite.runner import plain
from perfsuite.runner.plain import plain_evidence


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_numpy_alone_is_looked_at() -> None:
    found = plain_evidence()
    assert isinstance(found, Evidence), found
    names = {item.name for item in found.items if item.about == "library"}
    assert not names & {"PyTorch", "ONNX Runtime", "OpenVINO"}, "no engine is loaded"


@pytest.mark.parametrize(
    ("program", "word"),
    [
        ("import os; os.kill(os.getpid(), 11)", "its process died by SIGSEGV"),
        ("raise ImportError('no NumPy')", "ImportError: no NumPy"),
        ("raise SystemExit(4)", "its process ended with exit code 4"),
        ("print('no json')", "its process gave no evidence"),
    ],
)
def test_a_process_that_fails_has_a_word(program: str, word: str) -> None:
    found = plain_evidence(python(program))
    assert isinstance(found, str)
    assert found.startswith(word)


def test_one_that_hangs_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plain, "LIMIT_S", 0.05)
    assert plain_evidence(python("import time; time.sleep(60)")) == (
        "its process gave no answer for 0.05 s"
    )


def test_one_that_cannot_be_started() -> None:
    found = plain_evidence([os.devnull])
    assert found == "its process could not be started: Permission denied"
