"""What a pass found out, written and read again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perfsuite.domain.recipe import Edits
from perfsuite.errors import ConfigError, SchemaError
from perfsuite.runner.build.edits import EDITS, TENSORS, read_edits, write_edits, write_halved
from perfsuite.workloads.zoo.weights import card_line

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


def test_edits_that_ship_are_halved_and_read_as_float32(tmp_path: Path) -> None:
    given = {"a": np.array([0.1, 2.0], np.float32), "n": np.array(3), "h": np.ones(1, np.float64)}
    file = write_halved(tmp_path, Edits({"kept": {"a": [0]}}, given))
    (tmp_path / file.name).with_suffix(".md").write_text(f"# a\n\n{card_line(file)}\n")
    found = read_edits(tmp_path)
    assert found.data == {"kept": {"a": [0]}}
    assert found.tensors["a"].dtype == np.float32
    assert found.tensors["a"].tolist() == [float(np.float16(0.1)), 2.0]
    assert found.tensors["n"].item() == 3 and found.tensors["h"].dtype == np.float64


def test_edits_that_ship_are_refused_where_they_are_not_as_their_card_says(tmp_path: Path) -> None:
    file = write_halved(tmp_path, Edits({}, {"a": np.ones(2, np.float32)}))
    file.with_suffix(".md").write_text(f"{card_line(file)}\n")
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(ConfigError, match="damaged weights"):
        read_edits(tmp_path)


def test_edits_that_do_not_fit_into_half_precision_do_not_ship(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="a does not fit into half precision"):
        write_halved(tmp_path, Edits({}, {"a": np.array([1e6], np.float32)}))
