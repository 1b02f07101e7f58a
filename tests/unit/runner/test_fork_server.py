"""When a server may be forked."""

from __future__ import annotations

from pathlib import Path
from threading import Timer

import pytest

from perfsuite.runner import fork_server


def test_a_thread_that_ends_is_waited_for_and_one_that_stays_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fork_server, "TASKS", tmp_path)
    (tmp_path / "1").mkdir()
    assert fork_server._is_alone()
    (tmp_path / "2").mkdir()
    monkeypatch.setattr(fork_server, "ENDS_WITHIN_S", 0.0)
    assert not fork_server._is_alone()
    monkeypatch.setattr(fork_server, "ENDS_WITHIN_S", 60.0)
    Timer(0.01, (tmp_path / "2").rmdir).start()
    assert fork_server._is_alone()
