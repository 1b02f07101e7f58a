"""The lock of all who measure: who waits, who is told, and what never stops a run."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from pathlib import Path

import msgspec
import pytest
from another_run import other, said

from perfsuite.store import machine_lock
from perfsuite.store.machine_lock import MachineLock


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_lock, "_LOOK_S", 0.01)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "lock"


def test_nothing_is_told_where_nobody_else_measures(file: Path) -> None:
    told: list[str] = []
    with MachineLock(Path("run"), told.append, file) as lock:
        lock.look()
        for _ in range(2):
            with lock.held():
                pass
    assert told == []
    assert file.stat().st_mode & 0o777 == 0o666  # also for other users


def test_who_comes_second_is_told_once_and_waits_for_one_round(file: Path) -> None:
    told: list[str] = []
    process = other(file)
    assert said(process) == "held"
    with MachineLock(Path("run"), told.append, file) as lock:
        lock.look()
        lock.look()
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        with lock.held():
            assert said(process) == "free"
            third = other(file)
            assert said(third).startswith(f"another run ({Path('run').resolve()}, process ")
    assert said(third) == "held"
    third.communicate("\n")
    process.communicate()
    (text,) = told
    assert text == (
        f"another run (/runs/other, process {process.pid}) measures on this machine too: what one "
        "prepares disturbs what the other measures, and both take turns, round by round"
    )


def test_who_is_killed_holds_nothing(file: Path) -> None:
    process = other(file)
    assert said(process) == "held"
    process.send_signal(signal.SIGKILL)
    process.wait()
    told: list[str] = []
    with MachineLock(Path("run"), told.append, file) as lock, lock.held():
        assert told == []


def test_of_a_suspended_one_is_told_that_it_holds_up_the_other(file: Path) -> None:
    process = other(file)
    assert said(process) == "held"
    process.send_signal(signal.SIGSTOP)
    os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WNOWAIT)
    told: list[str] = []
    with MachineLock(Path("run"), told.append, file) as lock:
        lock.look()
    process.send_signal(signal.SIGCONT)
    process.communicate("\n")
    (text,) = told
    said_of = f"(/runs/other, process {process.pid}, which is suspended and holds up this one)"
    assert text.startswith(f"another run {said_of} measures")


def test_an_interrupt_ends_the_waiting(file: Path) -> None:
    first, second = other(file), None
    try:
        assert said(first) == "held"
        second = other(file)
        assert said(second).startswith("another run")
        second.send_signal(signal.SIGINT)
        second.communicate(timeout=30)
        assert second.returncode != 0
    finally:
        first.communicate("\n")
    told: list[str] = []
    with MachineLock(Path("run"), told.append, file) as lock, lock.held():
        assert told == []


def test_who_waits_is_next_also_if_the_other_wants_to_go_on_at_once(file: Path) -> None:
    told: list[str] = []
    order: list[str] = []
    with MachineLock(Path("run"), told.append, file) as lock:
        with lock.held():
            process = other(file)
            assert said(process).startswith("another run")  # and waits from now on
        assert said(process) == "held"
        order.append("other")
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
        with lock.held():
            order.append("run")
    process.communicate()
    assert order == ["other", "run"]


@pytest.mark.parametrize("text", [b"", b"nonsense", b'{"run": 3}'])
def test_whatever_stands_in_the_file(file: Path, text: bytes) -> None:
    process = other(file)
    assert said(process) == "held"
    file.write_bytes(text)
    told: list[str] = []
    with MachineLock(Path("run"), told.append, file) as lock:
        lock.look()
    process.communicate("\n")
    (warning,) = told
    assert warning.startswith("another run measures on this machine too")


def test_a_run_is_not_told_of_itself(file: Path) -> None:
    process = other(file)
    assert said(process) == "held"
    told: list[str] = []
    with MachineLock(Path("run"), told.append, file) as lock:
        me = machine_lock.Holder(
            str(Path("run").resolve()), os.getpid(), machine_lock._namespace()
        )  # as where the other has the lock, and has not written its name yet
        file.write_bytes(msgspec.json.encode(me))
        lock.look()
    process.communicate("\n")
    (warning,) = told
    assert warning.startswith("another run measures on this machine too")


def test_what_others_wrote_cannot_steer_a_terminal(file: Path) -> None:
    process = other(file)
    assert said(process) == "held"
    file.write_bytes(b'{"run": "/a\\u001b[31m", "pid": 7}')
    told: list[str] = []
    with MachineLock(Path("run"), told.append, file) as lock:
        lock.look()
    process.communicate("\n")
    (warning,) = told
    assert warning.startswith("another run (/a[31m, process 7) ")


def test_a_folder_that_is_not_there_stops_no_run(tmp_path: Path) -> None:
    told: list[str] = []
    file = tmp_path / "none" / "lock"
    with MachineLock(Path("run"), told.append, file) as lock:
        lock.look()
        with lock.held():
            pass
    (text,) = told
    assert text.startswith(f"{file}: cannot be locked (No such file or directory): other runs")


def test_a_system_without_such_locks_stops_no_run(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(37, "No locks available")

    monkeypatch.setattr(machine_lock.fcntl, "lockf", refuse)
    told: list[str] = []
    with MachineLock(Path("run"), told.append, file) as lock:
        lock.look()
        with lock.held():
            pass
    (text,) = told
    assert "cannot be locked (No locks available)" in text


def test_no_link_is_followed(tmp_path: Path) -> None:
    target = tmp_path / "target"
    (tmp_path / "lock").symlink_to(target)
    told: list[str] = []
    with MachineLock(Path("run"), told.append, tmp_path / "lock") as lock, lock.held():
        assert len(told) == 1
    assert not target.exists()


def test_made_by_two_at_once(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    truly = os.open

    def late(path: Path, flags: int, mode: int = 0o777) -> int:
        if not flags & os.O_CREAT and not file.exists():
            file.touch()  # the other makes it between the two calls
            raise FileNotFoundError
        return truly(path, flags, mode)

    monkeypatch.setattr(machine_lock.os, "open", late)
    told: list[str] = []
    with MachineLock(Path("run"), told.append, file) as lock, lock.held():
        assert told == []


def test_a_later_suspension_is_told_too_and_who_is_third_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, told = other(file), list[str]()
    assert said(first) == "held"
    second = other(file)
    assert said(second).startswith("another run (/runs/other")  # and waits, as the next

    def sleep(_: float) -> None:
        if len(told) == 1:
            first.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, first.pid, os.WSTOPPED | os.WNOWAIT)
        elif "suspended" in told[-1] and first.poll() is None:
            first.send_signal(signal.SIGCONT)
            first.communicate("\n")
            assert said(second) == "held"
            second.communicate("\n")

    with MachineLock(Path("run"), told.append, file) as lock:
        monkeypatch.setattr(machine_lock.time, "sleep", sleep)
        with lock.held():
            pass
    assert len(told) == 2
    assert told[0].startswith(f"another run (/runs/other, process {first.pid}) measures")
    assert f"process {first.pid}, which is suspended and holds up this one) measures" in told[1]


def holding(file: Path, holder: machine_lock.Holder) -> subprocess.Popen[str]:
    """Start a process that keeps the lock, in the name of another."""
    process = other(file)
    assert said(process) == "held"
    file.write_bytes(msgspec.json.encode(holder))
    return process


@pytest.mark.parametrize(
    ("namespace", "why", "looks"),
    [("here", "is gone", 20), ("elsewhere", "has not let go for 60 minutes", 7200)],
)
def test_nobody_is_waited_for_without_end(
    file: Path, monkeypatch: pytest.MonkeyPatch, namespace: str, why: str, looks: int
) -> None:
    """One whose process is gone, and one in another container, whose number says nothing here."""
    monkeypatch.setattr(machine_lock, "_LOOK_S", 0.5)
    slept: list[float] = []
    monkeypatch.setattr(machine_lock.time, "sleep", slept.append)
    ended = subprocess.Popen(["true"])
    ended.wait()
    name = machine_lock._namespace() if namespace == "here" else namespace
    process = holding(file, machine_lock.Holder("/runs/gone", ended.pid, name))
    told: list[str] = []
    with MachineLock(Path("run"), told.append, file) as lock:
        for _ in range(2):
            with lock.held():
                pass
    process.communicate("\n")
    assert len(slept) == looks  # by the second round nobody is waited for
    _, text = told
    assert text.startswith(f"another run (/runs/gone, process {ended.pid}) {why}")
    assert f"goes on without the lock of {file}" in text


def test_a_file_with_another_name_is_left_as_it_is(tmp_path: Path) -> None:
    target = tmp_path / "target"
    target.write_text("mine")
    (tmp_path / "lock").hardlink_to(target)
    os.mkfifo(tmp_path / "pipe")
    for name in ("lock", "pipe"):
        told: list[str] = []
        with MachineLock(Path("run"), told.append, tmp_path / name) as lock, lock.held():
            (text,) = told
        assert "cannot be locked (it is no file, or has another name as well)" in text
    assert target.read_text() == "mine"


def test_runs_with_another_temporary_folder_meet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(machine_lock.VARIABLE)
    monkeypatch.setattr(machine_lock, "_FOLDERS", (str(tmp_path / "none"), str(tmp_path)))
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / name))
        assert MachineLock(Path("run"), print).file == tmp_path / machine_lock.FILE
    monkeypatch.setattr(machine_lock, "_FOLDERS", ())
    assert MachineLock(Path("run"), print).file == tmp_path / "two" / machine_lock.FILE
