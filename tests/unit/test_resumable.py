"""An interrupted command says how it goes on, if there is anything to go on with."""

from __future__ import annotations

import os
import signal

import pytest

from perfsuite.resumable import INTERRUPTED, resumable


def test_it_says_the_command_as_it_was_typed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    typed = ["perfsuite", "run", "my suite.toml", "--resume", "--only", "net/*"]
    monkeypatch.setattr("sys.argv", typed)
    with pytest.raises(SystemExit) as ended, resumable(lambda: True):
        raise KeyboardInterrupt
    assert ended.value.code == INTERRUPTED
    assert capsys.readouterr().err == (
        "interrupted; what was finished is kept. Go on with:\n"
        "  perfsuite run 'my suite.toml' --only 'net/*' --resume\n"
    )


def test_a_termination_is_an_interrupt_within_it_alone() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), resumable(lambda: False):
        os.kill(os.getpid(), signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_what_was_begun_is_asked_when_it_is_interrupted() -> None:
    begun: list[int] = []
    with pytest.raises(SystemExit), resumable(lambda: bool(begun)):
        begun.append(1)
        raise KeyboardInterrupt
