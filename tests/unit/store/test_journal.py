"""The journal: what is written is read, torn ends are cut, two writers are refused."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from filelock import FileLock

from perfsuite.domain.cell import Cell
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.recipe import ResolvedRecipe
from perfsuite.domain.record import SCHEMA, Header, Line, Measurement
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.errors import ConfigError, PerfsuiteError, SchemaError
from perfsuite.store.journal import Journal, read

CELL = Cell("net", "fp32", "fake")
HEADER = Header(
    schema=SCHEMA,
    perfsuite="0.1.0",
    created_at="2026-01-01T00:00:00Z",
    suite=ResolvedSuite("toy", {"net": "net"}, ("fake",), (ResolvedRecipe("fp32"),), processes=2),
    cells=(CELL,),
    environment=Environment(MustMatch("cpu", 6, 85, 7, ("avx2",), {"L2": 1}, 2, None), {}, {}),
)


def line(round_: int, *samples: float) -> Line:
    measured = (Measurement("latency_s", "s", samples or (0.5,)),)
    return Line(CELL.id, CELL.key, "measure", "ok", round=round_, measurements=measured)


def test_what_was_appended_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "run"
    with Journal.create(folder, HEADER) as journal:
        journal.append(line(0, 0.1, 0.2))
        journal.append(line(1))
        assert read(folder) == (HEADER, [line(0, 0.1, 0.2), line(1)], [])


def test_each_line_is_on_the_disk_before_the_next_job(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kept is what was synced: a line that only the page cache has is lost with the power."""
    synced: dict[str, bytes] = {}

    def fsync(descriptor: int) -> None:
        file = Path(f"/proc/self/fd/{descriptor}").readlink()
        if file.is_file():
            synced[file.name] = file.read_bytes()

    monkeypatch.setattr(os, "fsync", fsync)
    with Journal.create(tmp_path, HEADER) as journal:
        file = tmp_path / "run.jsonl"
        assert file.read_bytes() in synced.values()  # the header, before it got its name
        for number in range(2):
            journal.append(line(number))
            assert synced["run.jsonl"] == file.read_bytes()
            assert file.read_bytes().count(b"\n") == 2 + number


def test_a_folder_with_a_run_is_refused(tmp_path: Path) -> None:
    Journal.create(tmp_path, HEADER).close()
    with pytest.raises(ConfigError) as caught:
        Journal.create(tmp_path, HEADER)
    assert str(caught.value) == (
        f"{tmp_path}: there is a run already; choose another folder (-o), or go on with it "
        "(perfsuite run --resume)"
    )
    Journal.resume(tmp_path).close()  # the refusal gave the lock back


def test_a_new_journal_holds_nothing(tmp_path: Path) -> None:
    with Journal.create(tmp_path, HEADER) as journal:
        assert (journal.header, journal.lines, journal.warnings) == (HEADER, [], [])


def test_a_header_that_cannot_be_stored_leaves_no_run(tmp_path: Path) -> None:
    header = msgspec.structs.replace(HEADER, schema=float("nan"))  # type: ignore[arg-type]
    with pytest.raises(SchemaError, match=r"^the header cannot be stored: .*NaN or infinite"):
        Journal.create(tmp_path, header)
    Journal.create(tmp_path, HEADER).close()  # and the lock is free


def test_a_disk_that_is_full_from_the_start_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(PerfsuiteError, match=f"^{tmp_path}.*No space left on device"):
            Journal.create(tmp_path, HEADER)
    assert [path.name for path in tmp_path.iterdir() if path.name != ".lock"] == []
    Journal.create(tmp_path, HEADER).close()


def test_a_file_that_the_system_refuses_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Journal.create(tmp_path, HEADER).close()

    def refuse(*given: object, **named: object) -> None:
        raise OSError(errno.EACCES, "Permission denied")

    file, opened = tmp_path / "run.jsonl", Path.open

    def refuse_changes(path: Path, mode: str, **named: object) -> object:
        return refuse() if mode == "r+b" else opened(path, mode, **named)  # type: ignore[call-overload]

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        with pytest.raises(ConfigError) as caught:
            read(tmp_path)
    assert str(caught.value) == f"{file}: cannot be read: Permission denied"
    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", refuse_changes)
        with pytest.raises(ConfigError) as caught:
            Journal.resume(tmp_path)
    assert str(caught.value) == f"{file}: cannot be written: Permission denied"
    with monkeypatch.context() as patch:
        patch.setattr(FileLock, "acquire", refuse)
        with pytest.raises(ConfigError) as caught:
            Journal.resume(tmp_path)
    assert str(caught.value) == f"{tmp_path}: cannot be written: Permission denied"


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="cannot be made"):
        Journal.create(tmp_path / "file" / "run", HEADER)


@pytest.mark.parametrize("writer", ["create", "resume"])
def test_a_second_writer_in_this_process_is_refused(tmp_path: Path, writer: str) -> None:
    with Journal.create(tmp_path, HEADER):
        with pytest.raises(ConfigError, match="another process is writing"):
            Journal.create(tmp_path, HEADER) if writer == "create" else Journal.resume(tmp_path)
        assert read(tmp_path)[1] == []  # reading needs no lock


def test_a_writer_in_another_process_is_refused(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from perfsuite.store.journal import Journal\n"
        "from perfsuite.errors import ConfigError\n"
        "try: Journal.resume(Path(sys.argv[1]))\n"
        "except ConfigError as error: print(error)"
    )
    with Journal.create(tmp_path, HEADER):
        run = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
        )
    assert "another process is writing" in run.stdout


@pytest.mark.parametrize("torn", [b'{"cell": "ab', b'{"cell": "ab\n', b"\0\0\0", b'{"a": "\xc3'])
def test_a_torn_last_line_is_skipped_then_cut(tmp_path: Path, torn: bytes) -> None:
    with Journal.create(tmp_path, HEADER) as journal:
        journal.append(line(0))
    file = tmp_path / "run.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + torn)
    header, lines, warnings = read(tmp_path)
    assert (header, lines) == (HEADER, [line(0)])
    assert len(warnings) == 1 and "line 3" in warnings[0] and "torn" in warnings[0]
    assert file.read_bytes() == whole + torn  # reading changes nothing
    with Journal.resume(tmp_path) as journal:
        assert (journal.header, journal.lines, len(journal.warnings)) == (HEADER, [line(0)], 1)
        assert file.read_bytes() == whole
        journal.append(line(1))
    assert read(tmp_path) == (HEADER, [line(0), line(1)], [])


def test_a_last_line_that_only_lacks_its_end_is_kept(tmp_path: Path) -> None:
    with Journal.create(tmp_path, HEADER) as journal:
        journal.append(line(0))
    file = tmp_path / "run.jsonl"
    file.write_bytes(file.read_bytes().rstrip(b"\n"))
    with Journal.resume(tmp_path) as journal:
        journal.append(line(1))
    assert read(tmp_path) == (HEADER, [line(0), line(1)], [])


@pytest.mark.parametrize("bad", [b'{"cell": "ab', b'{"cell": 3}', b"", b"\xff"])
def test_a_corrupt_line_in_the_middle_is_an_error(tmp_path: Path, bad: bytes) -> None:
    with Journal.create(tmp_path, HEADER) as journal:
        journal.append(line(0))
    file = tmp_path / "run.jsonl"
    file.write_bytes(file.read_bytes() + bad + b"\n" + msgspec.json.encode(line(1)) + b"\n")
    with pytest.raises(SchemaError, match=r"run\.jsonl: line 3 is corrupt"):
        read(tmp_path)
    with pytest.raises(SchemaError, match="line 3"):
        Journal.resume(tmp_path)


def test_a_whole_last_line_of_another_form_is_corrupt_not_torn(tmp_path: Path) -> None:
    Journal.create(tmp_path, HEADER).close()
    with (tmp_path / "run.jsonl").open("ab") as file:
        file.write(b'{"cell": "a", "key": "k", "job": "dance", "status": "ok"}\n')
    with pytest.raises(SchemaError, match="line 2 is corrupt"):
        read(tmp_path)


def test_a_newer_schema_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    (tmp_path / "run.jsonl").write_text('{"schema": 2, "perfsuite": "9.1", "suite": "other"}\n??\n')
    with pytest.raises(SchemaError, match=r"written by perfsuite 9\.1.*upgrade"):
        read(tmp_path)


def test_an_empty_file_is_no_journal(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    file.write_bytes(b"")
    with pytest.raises(SchemaError) as caught:
        read(tmp_path)
    assert str(caught.value) == (
        f"{file}: line 1, the header, is corrupt: Input data was truncated; restore the file, or "
        f"run the suite anew into another folder"
    )


@pytest.mark.parametrize("content", [b"", b"\n", b'{"schema": 1', b"[]\n", b'{"schema": 1}\n'])
def test_a_corrupt_header_is_an_error(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.jsonl").write_bytes(content)
    with pytest.raises(SchemaError, match=rf"^{tmp_path}/run\.jsonl: line 1, the header, is cor"):
        read(tmp_path)


def test_a_missing_run_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no such run folder"):
        read(tmp_path / "none")
    with pytest.raises(ConfigError, match=r"run\.jsonl is missing"):
        Journal.resume(tmp_path)
    assert list(tmp_path.iterdir()) == []  # nothing was left in a folder that is not a run's


def test_a_full_disk_is_an_error_and_leaves_no_torn_line(tmp_path: Path) -> None:
    with Journal.create(tmp_path, HEADER) as journal:
        journal.append(line(0))
        size = (tmp_path / "run.jsonl").stat().st_size
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        # The kernel then takes ten bytes of the next line and no more, as a full disk would.
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 10, limits[1]))
        try:
            with pytest.raises(PerfsuiteError, match=r"cannot be written.*make room"):
                journal.append(line(1))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        assert read(tmp_path) == (HEADER, [line(0)], [])
        journal.append(line(1))
    assert read(tmp_path)[1] == [line(0), line(1)]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_number_that_json_lacks_is_refused_when_written(tmp_path: Path, value: float) -> None:
    with Journal.create(tmp_path, HEADER) as journal:
        with pytest.raises(
            SchemaError,
            match=rf"^the measure line of {CELL.key} cannot be stored: .* "
            r"\(NaN or infinite: JSON has neither\)$",
        ):
            journal.append(line(0, value))
        assert read(tmp_path)[1] == []


def test_a_text_that_json_lacks_is_refused_without_a_word_on_numbers(tmp_path: Path) -> None:
    strange = Line(CELL.id, CELL.key, "inspect", "ok", labels=("\udc80",))
    unwritten = pytest.raises(SchemaError, match=r"surrogates not allowed$")
    with Journal.create(tmp_path, HEADER) as journal, unwritten:
        journal.append(strange)
