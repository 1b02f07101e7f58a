"""Artifacts that travel with a run: whole or refused."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from perfsuite.errors import PerfsuiteError, SchemaError
from perfsuite.store.kept import LIST, is_key, keep, kept, size_bytes

KEY = "a1" * 32


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    folder = tmp_path / "artifact"
    (folder / "pieces").mkdir(parents=True)
    (folder / "artifact.json").write_bytes(b"{}")
    (folder / "model.onnx").write_bytes(b"net")
    (folder / "pieces" / "two  words").write_bytes(b"")
    return folder


def test_what_is_kept_is_found_with_all_its_files(tmp_path: Path, artifact: Path) -> None:
    run = tmp_path / "run"
    assert kept(run, KEY) is None
    folder = keep(run, KEY, artifact)
    assert kept(run, KEY) == folder == run / "artifacts" / KEY
    assert (folder / "model.onnx").read_bytes() == b"net"
    says, net, empty = (hashlib.sha256(data).hexdigest() for data in (b"{}", b"net", b""))
    assert (folder / LIST).read_text() == (
        f"{says}  artifact.json\n{net}  model.onnx\n{empty}  pieces/two  words\n"
    )
    assert size_bytes(folder) == 5 + (folder / LIST).stat().st_size
    subprocess.run(["sha256sum", "--check", "--quiet", LIST], cwd=folder, check=True)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("model.onnx", b"Net", "not as it was kept, its SHA-256 is another"),
        ("model.onnx", None, "not as it was kept (No such file or directory)"),
        (LIST, None, "the list of the artifact's files cannot be read"),
        (LIST, b"\xff", "the list of the artifact's files cannot be read"),
        (LIST, b"", "the list of the artifact's files is not whole, it lacks artifact.json"),
    ],
)
def test_what_is_torn_is_refused_and_can_be_kept_anew(
    tmp_path: Path, artifact: Path, name: str, content: bytes | None, why: str
) -> None:
    file = keep(tmp_path, KEY, artifact) / name
    file.unlink() if content is None else file.write_bytes(content)
    with pytest.raises(SchemaError) as caught:
        kept(tmp_path, KEY)
    assert str(caught.value).startswith(f"{file}: {why}")
    assert kept(tmp_path, KEY.replace("a", "b")) is None
    keep(tmp_path, KEY, artifact)
    assert kept(tmp_path, KEY) is not None


def test_what_a_killed_process_left_is_swept(tmp_path: Path, artifact: Path) -> None:
    left = tmp_path / "artifacts" / f"{KEY}.123.partial"
    left.mkdir(parents=True)
    keep(tmp_path, KEY, artifact)
    assert [path.name for path in (tmp_path / "artifacts").iterdir()] == [KEY]


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path, artifact: Path) -> None:
    (tmp_path / "artifacts").write_text("a file")
    with pytest.raises(PerfsuiteError, match="the artifact cannot be kept: "):
        keep(tmp_path, KEY, artifact)


def test_only_a_hash_is_a_key() -> None:
    assert is_key(KEY)
    assert not any(map(is_key, ("", "a1", f"../{KEY[3:]}", f"{KEY}\n", KEY.upper())))


@pytest.mark.parametrize("lost", [0, 1, 2])
def test_a_list_that_lacks_a_file_is_refused(tmp_path: Path, artifact: Path, lost: int) -> None:
    file = keep(tmp_path, KEY, artifact) / LIST
    rows = file.read_text().splitlines(keepends=True)
    file.write_text("".join(rows[:lost] + rows[lost + 1 :]))
    name = ("artifact.json", "model.onnx", "pieces/two  words")[lost]
    with pytest.raises(SchemaError, match=f"is not whole, it lacks {name}"):
        kept(tmp_path, KEY)
