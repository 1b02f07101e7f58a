"""What a pass found out, written and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perfsuite.domain.recipe import Edits
from perfsuite.errors import SchemaError
from perfsuite.runner.build.edits import EDITS, TENSORS, read_edits, write_edits

pytest.importorskip("safetensors")


def written(folder: Path) -> Path:
    write_edits(folder, Edits({"kept": {"a": [0, 2]}}, {"a": np.ones(2), "n": np.array(3)}))
    return folder


def test_edits_are_read_as_they_were_written(tmp_path: Path) -> None:
    found = read_edits(written(tmp_path))
    assert found.data == {"kept": {"a": [0, 2]}}
    assert found.tensors["n"].shape == () and found.tensors["a"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("name", [EDITS, TENSORS])
@pytest.mark.parametrize("left", [0, 0.5, None])
def test_torn_edits_are_told_with_their_place(
    name: str, left: float | None, tmp_path: Path
) -> None:
    file = written(tmp_path) / name
    if left is None:
        file.unlink()
    else:
        content = file.read_bytes()
        file.write_bytes(content[: int(left * len(content))])
    with pytest.raises(SchemaError, match=r"torn \(.*delete this folder") as caught:
        read_edits(tmp_path)
    assert str(tmp_path) in str(caught.value)
