"""The compiler's cache in an artifact: the same bytes each time, and what is made beyond it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from perfsuite.errors import SchemaError
from perfsuite.runtimes.torch_compile.compiler_cache import FOLDER, TRITON, CompilerCache


def compile_into(name: str, content: str = "code") -> None:
    """Do as a compiler does, in the folder that is set for this process."""
    folder = Path(os.environ[FOLDER])
    (folder / "ab").mkdir(exist_ok=True)
    (folder / "locks").mkdir(exist_ok=True)
    (folder / "locks" / f"{name}.lock").touch()
    (folder / "ab" / f"{name}.cpp").write_text(content)
    (folder / "ab" / f"{name}.so").write_text(content)


def test_what_was_compiled_is_found_again_and_what_is_new_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER, "elsewhere")
    first = CompilerCache()
    compile_into("relu")
    assert first.made() == ["relu.so"]
    first.keep(tmp_path / "cache.tar")
    first.close()
    first.close()
    assert os.environ[FOLDER] == "elsewhere"

    again = CompilerCache(tmp_path / "cache.tar")
    assert (Path(os.environ[FOLDER]) / "ab" / "relu.so").read_text() == "code"
    assert again.made() == []
    compile_into("conv")
    assert again.made() == ["conv.so"]
    again.keep(tmp_path / "other.tar")
    again.close()
    assert (tmp_path / "other.tar").read_bytes() != (tmp_path / "cache.tar").read_bytes()


def test_equal_contents_give_equal_bytes_without_locks(tmp_path: Path) -> None:
    written = []
    for name in ("a.tar", "b.tar"):
        cache = CompilerCache()
        compile_into("relu")
        cache.keep(tmp_path / name)
        cache.close()
        written.append((tmp_path / name).read_bytes())
    assert written[0] == written[1]
    assert b"lock" not in written[0]


def test_one_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "cache.tar").write_bytes(b"no archive")
    before = os.environ.get(FOLDER)
    with pytest.raises(SchemaError, match=r"cache\.tar.* build the artifact again"):
        CompilerCache(tmp_path / "cache.tar")
    assert os.environ.get(FOLDER) == before


def test_what_triton_compiles_is_part_of_it_whatever_was_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TRITON, "elsewhere")
    cache = CompilerCache()
    folder = Path(os.environ[TRITON])
    assert folder.is_relative_to(os.environ[FOLDER])
    folder.mkdir()
    (folder / "relu.cubin").touch()
    assert cache.made() == ["relu.cubin"]
    cache.close()
    assert os.environ[TRITON] == "elsewhere"
    monkeypatch.delenv(TRITON)
    CompilerCache().close()
    assert TRITON not in os.environ, "the next artifact would look where this one was"
