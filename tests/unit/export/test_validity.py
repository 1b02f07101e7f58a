"""What is wrong with a file that is refused, and what to do about it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import odd_graphs as odd
import onnx
import pytest

from perfsuite.errors import ConfigError
from perfsuite.export.onnx import read_graph


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:4d\n", "git lfs pull"),
        (b"<!DOCTYPE html><html>404</html>", "a web page; download the file itself"),
        (b"<html>404</html>", "a web page"),
    ],
)
def test_files_of_other_kinds_are_named(content: bytes, told: str, tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match=told):
        read_graph(path)


def external(folder: Path) -> Path:
    path = folder / "net.onnx"
    onnx.save(odd.model(odd.body()), path, save_as_external_data=True, location="net.bin",
              size_threshold=0)  # fmt: skip
    return path


def test_weights_that_are_not_there_are_asked_for(tmp_path: Path) -> None:
    path = external(tmp_path)
    (tmp_path / "net.bin").unlink()
    with pytest.raises(ConfigError, match=r"net\.bin, which is not there; copy that file beside"):
        read_graph(path)


def test_weights_that_are_cut_short_are_told(tmp_path: Path) -> None:
    path = external(tmp_path)
    data = tmp_path / "net.bin"
    data.write_bytes(data.read_bytes()[:100])
    with pytest.raises(ConfigError, match="is cut short; copy it again"):
        read_graph(path)


def test_an_operator_that_was_withdrawn_is_told_as_that(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    wider = odd.node("Upsample", ["c", "s"], ["r"], "wider")
    made = odd.model([odd.body()[0], wider, *odd.body()[2:]], opset=18, more={"s": np.ones(4, "f")})
    path.write_bytes(made.SerializeToString())
    with pytest.raises(ConfigError, match=r"Upsample was withdrawn in operator set 18"):
        read_graph(path)


def test_an_operator_of_an_engine_is_told_as_that(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    nodes = [*odd.body(y="l"), odd.node("TRTBatchedNMS", ["l"], ["y"], "nms")]
    path.write_bytes(odd.model(nodes).SerializeToString())
    with pytest.raises(ConfigError, match=r"TRTBatchedNMS is none of ONNX's \(operator set 17\)"):
        read_graph(path)


def test_an_old_file_need_not_list_its_weights_among_its_inputs(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    old = odd.model(odd.body(), opset=9)
    old.ir_version = 3
    del old.graph.node[-1].input[2:]
    old.graph.node[-1].input.append("bias")
    bias = onnx.numpy_helper.from_array(np.zeros(odd.CLASSES, np.float32), "bias")
    old.graph.initializer.append(bias)
    path.write_bytes(old.SerializeToString())
    assert len(read_graph(path).graph.initializer) == len(old.graph.initializer)
