"""What became of artifacts elsewhere is kept until it is asked for, and never in the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite.domain.elsewhere import Elsewhere
from perfsuite.domain.verdict import Interval
from perfsuite.store.elsewhere import keep_elsewhere, read_elsewhere

ONE = Elsewhere(
    cell="net/int8/openvino/cpu/b1/onednn-avx2",
    artifact="net/int8/openvino/cpu/b1",
    runtime="openvino",
    recipe="int8",
    is_portable=False,
    where="AVX2",
    by="oneDNN capped",
    status="ok",
    lost=Interval(1.0, 0.5, 1.5),
)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_what_was_kept_of_an_artifact_is_found_and_of_others_nothing() -> None:
    keep_elsewhere({"a" * 64: [ONE]})
    assert read_elsewhere("a" * 64) == (ONE,)
    assert read_elsewhere("b" * 64) == ()
    keep_elsewhere({"a" * 64: [ONE, ONE]})
    assert read_elsewhere("a" * 64) == (ONE, ONE)


def test_a_spoilt_file_and_a_home_that_cannot_be_written_are_told_and_no_error(
    home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keep_elsewhere({"a" * 64: [ONE]})
    (home / "elsewhere" / f"{'a' * 64}.json").write_text("[{]")
    assert read_elsewhere("a" * 64) == ()
    assert "is ignored" in caplog.text
    (home / "elsewhere" / f"{'a' * 64}.json").unlink()
    (home / "elsewhere").rmdir()
    (home / "elsewhere").write_text("no folder")
    keep_elsewhere({"a" * 64: [ONE]})
    assert "cannot be written" in caplog.text
