"""External data behind symbolic links are read, for every engine; other files are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.errors import ConfigError
from perfsuite.export.linked import load_whole
from perfsuite.export.onnx import load_graph
from perfsuite.measure.macs import count_graph

WEIGHTS = np.arange(12, dtype=np.float32).reshape(3, 4)
BIAS = np.arange(4, dtype=np.float32)


def saved(folder: Path) -> Path:
    """Write a net as a hub's cache has it: the file and its data are links to others elsewhere."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", side])
        for name, side in (("x", 3), ("y", 4))
    ]
    graph = helper.make_graph(
        [helper.make_node("Gemm", ["x", "w", "b"], ["y"], "layer")],
        "net",
        values[:1],
        values[1:],
        [numpy_helper.from_array(one, name) for name, one in (("w", WEIGHTS), ("b", BIAS))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (folder / "blobs").mkdir()
    (folder / "cache").mkdir()
    plain = folder / "blobs" / "net.onnx"
    onnx.save(model, plain, save_as_external_data=True, location="net.data", size_threshold=0)
    plain.rename(folder / "blobs" / "3f2a")
    for name, target in (("net.onnx", "3f2a"), ("net.data", "net.data")):
        (folder / "cache" / name).symlink_to(folder / "blobs" / target)
    return folder / "cache" / "net.onnx"


def test_they_are_read(tmp_path: Path) -> None:
    path = saved(tmp_path)
    found = {one.name: one for one in load_graph(path).graph.initializer}
    assert numpy_helper.to_array(found["w"]).tolist() == WEIGHTS.tolist()
    assert numpy_helper.to_array(found["b"]).tolist() == BIAS.tolist()
    assert count_graph(path).macs == 12


def test_openvino_is_given_a_copy(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    from perfsuite.runtimes.openvino.runtime import OpenVino

    specs = (InputSpec("x", "float32", ("batch", 3)),)
    manifest = Manifest("openvino", "cpu", "fp32", 1, specs, ("y",), False, False)
    folder = tmp_path / "made"
    folder.mkdir()
    OpenVino().build(Variant(saved(tmp_path), None, False), manifest, folder)
    with OpenVino().open(folder, manifest, SessionOptions(1, 1)) as session:
        (y,) = session.run({"x": np.ones((1, 3), np.float32)})
    assert y.tolist() == [(WEIGHTS.sum(axis=0) + BIAS).tolist()]


@pytest.mark.parametrize("place", ["../secret", "/secret"])
def test_no_other_folder_is_read(tmp_path: Path, place: str) -> None:
    path = saved(tmp_path)
    model = onnx.load(path, load_external_data=False)
    model.graph.initializer[0].external_data[0].value = place
    other = path.with_name("other.onnx")
    onnx.save(model, other)
    with pytest.raises(ConfigError, match="outside of the model's folder"):
        load_whole(other)
