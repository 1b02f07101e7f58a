"""ONNX files as workloads: what of a model, and of its samples, is refused, and in which words."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.domain.suite import DetectionTable
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.export.onnx import graph_spec, load_graph, write_settled
from perfsuite.runner.build.reference import graph_outputs
from perfsuite.workloads.onnx.file import onnx_workload

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper  # noqa: E402

Sides = Sequence[int | str | None] | None
GOOD = {
    "x": np.arange(6 * 3 * 2 * 2, dtype=np.float32).reshape(6, 3, 2, 2),
    "labels": np.array([0, 1, 2, 0, 1, 2]),
}


def save(path: Path, shape: Sides = ("n", 3, 2, 2), elem: int = TensorProto.FLOAT) -> Path:
    """Write a net that gives each channel's mean, (N, 3), of the input `x`."""
    nodes = [
        helper.make_node("Cast", ["x"], ["f"], to=TensorProto.FLOAT),
        helper.make_node("GlobalAveragePool", ["f"], ["p"]),
        helper.make_node("Flatten", ["p"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", elem, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def write(path: Path, arrays: dict[str, Any] = GOOD) -> None:
    np.savez_compressed(path, **arrays)


def refusal(path: Path, samples: Path | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        onnx_workload(path, samples)
    return str(caught.value)


def test_good_samples_are_shuffled_together(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "s.npz",
        x=GOOD["x"],
        labels=GOOD["labels"],
        more=np.array(["not", "looked", "at"]),
    )
    task = onnx_workload(save(tmp_path / "net.onnx"), tmp_path / "s.npz").task
    rows = task.rows(lambda inputs: [inputs["x"].mean(axis=(2, 3))])
    assert rows.shape == (3, 3)
    assert (rows[:, 1] == 2).all()  # the values rise with the channel
    assert rows[:, 0].tolist() == (rows[:, 2] == 2).astype(float).tolist()
    with pytest.raises(ConfigError, match=r"shape \(3, 3, 2, 2\) for 3 samples"):
        task.rows(lambda inputs: [inputs["x"]])


LABELS = "but labels are integers from 0, one a sample: (samples,)"
TAKES = "but the model takes float32 (n, 3, 2, 2)"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"labels": np.eye(6, dtype=int)}, f"is int64 (6, 6), {LABELS}; of one-hot labels take"),
        ({"labels": np.zeros((6, 1), int)}, f"is int64 (6, 1), {LABELS}; take labels[:, 0]"),
        ({"labels": np.zeros(6)}, f"array 'labels' is float64 (6,), {LABELS}"),
        ({"labels": np.zeros(6, bool)}, f"array 'labels' is bool (6,), {LABELS}"),
        ({"labels": np.array(list("abcdef"))}, f"array 'labels' is <U1 (6,), {LABELS}"),
        ({"labels": np.array([0, 1, -1, 0, 1, 2])}, f"{LABELS}; there is -1"),
        ({"labels": np.array(3)}, f"array 'labels' is int64 (), {LABELS}"),
        ({"labels": np.array([{}] * 6)}, "array 'labels' is damaged, or holds Python objects"),
        ({"x": GOOD["x"].astype(float) + 0.1}, f"array 'x' is float64 (6, 3, 2, 2), {TAKES}"),
        ({"x": GOOD["x"].astype(str)}, f"array 'x' is <U32 (6, 3, 2, 2), {TAKES}"),
        ({"x": GOOD["x"][:, :1]}, f"array 'x' is float32 (6, 1, 2, 2), {TAKES}"),
        ({"x": GOOD["x"][:, :, :, 0]}, f"array 'x' is float32 (6, 3, 2), {TAKES}"),
        ({"x": np.float32(1)}, f"array 'x' is float32 (), {TAKES}"),
        ({"x": GOOD["x"][:5]}, "equally long, and at least 4; they are {'x': 5, 'labels': 6}"),
    ],
)
def test_samples_that_do_not_fit_are_told_by_name(
    tmp_path: Path, change: dict[str, np.ndarray], words: str
) -> None:
    write(tmp_path / "s.npz", {**GOOD, **change})
    told = refusal(save(tmp_path / "net.onnx"), tmp_path / "s.npz")
    assert told.startswith(f"{tmp_path / 's.npz'}: ")
    assert words in told
    assert "allow_pickle" not in told


def test_a_missing_array_is_named(tmp_path: Path) -> None:
    np.savez(tmp_path / "s.npz", images=GOOD["x"], labels=GOOD["labels"])
    told = refusal(save(tmp_path / "net.onnx"), tmp_path / "s.npz")
    assert told.endswith("s.npz: no array named x; it has images, labels")


@pytest.mark.parametrize("kind", ["text", "npy", "cut", "folder", "gone", "other zip", "damaged"])
def test_what_is_no_npz_file_is_told_how_to_write_one(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "s.npz"
    if kind == "text":
        file.write_text("x,labels\n1,2\n")
    elif kind == "npy":
        with file.open("wb") as out:
            np.save(out, GOOD["x"])
    elif kind == "folder":
        file.mkdir()
    elif kind == "other zip":
        with zipfile.ZipFile(file, "w") as out_zip:
            out_zip.writestr("x", b"1")
            out_zip.writestr("labels", b"2")
    elif kind != "gone":
        write(file)
        data = bytearray(file.read_bytes())
        data[60:120] = b"\xff" * 60
        file.write_bytes(data if kind == "damaged" else data[:-30])
    told = refusal(save(tmp_path / "net.onnx"), file)
    assert told.startswith(f"{file}: ")
    assert "is no NumPy array" in told or "write it with numpy.savez(file, x=...)" in told
    assert "allow_pickle" not in told


def test_open_sides_need_samples_or_shapes_that_say_how_long_they_are(tmp_path: Path) -> None:
    path = save(tmp_path / "net.onnx", ("n", 3, "height", "width"))
    told = refusal(path)
    assert told.startswith(f"{path}: its inputs have open sides of which nobody has said how long")
    assert "'x' is (n, 3, height, width). Say it with --shape x=1x3xHEIGHTxWIDTH, in a" in told
    write(tmp_path / "s.npz")
    task = onnx_workload(path, tmp_path / "s.npz").task
    assert task.inputs(5, 0)["x"].shape == (5, 3, 2, 2)
    task = onnx_workload(path, shapes={"x": (1, 3, 4, 5)}).task
    assert task.inputs(2, 0)["x"].shape == (2, 3, 4, 5)
    assert task.made_up


@pytest.mark.parametrize("open_side", [None, "?"])
def test_open_sides_without_names_are_as_good(tmp_path: Path, open_side: str | None) -> None:
    path = save(tmp_path / "net.onnx", (open_side, 3, open_side, open_side))
    assert "'x' is (?, 3, ?, ?). Say it with --shape x=1x3xSIDE2xSIDE3" in refusal(path)
    write(tmp_path / "s.npz")
    workload = onnx_workload(path, tmp_path / "s.npz")
    assert workload.task.inputs(5, 0)["x"].shape == (5, 3, 2, 2)
    assert [spec.shape for spec in workload.model.inputs] == [("batch", 3, 2, 2)]


def test_what_is_asked_for_can_be_pasted_into_a_suite(tmp_path: Path) -> None:
    for name, key in (("net", "net"), ("net v1.2", '"net v1.2"')):
        path = save(tmp_path / f"{name}.onnx", ("n", 3, "h", "w"))
        told = refusal(path)
        assert f"shapes = {{ {key} = {{ x = [1, 3, H, W] }} }}" in told
        assert f'samples = {{ {key} = "FILE.npz" }}' in told
        task = onnx_workload(path, shapes={"x": (1, 3, 4, 5)}).task
        with pytest.raises(Unsupported, match=re.escape(f'samples = {{ {key} = "<file>.npz" }}')):
            task.calibration(4)
        with pytest.raises(ConfigError) as caught:
            onnx_workload(path, detection=DetectionTable("boxes.json", "yolov8"))
        assert f"detection = {{ {key} = {{ size = [height, width]" in str(caught.value)


def test_samples_and_shapes_tell_how_many_sides_there_are_where_the_file_does_not(
    tmp_path: Path,
) -> None:
    path = save(tmp_path / "net.onnx", None)
    write(tmp_path / "s.npz")
    one_by_one = {f"x/{place}": one for place, one in enumerate(GOOD["x"])}
    write(tmp_path / "one.npz", {**one_by_one, "labels": GOOD["labels"]})
    sampled, alone, shaped = (
        onnx_workload(path, tmp_path / "s.npz"),
        onnx_workload(path, tmp_path / "one.npz"),
        onnx_workload(path, shapes={"x": (1, 3, 2, 2)}),
    )
    for workload in (sampled, alone, shaped):
        assert workload.model.inputs == (InputSpec("x", "float32", ("batch", 3, 2, 2)),)
        inputs = workload.task.inputs(5, 0)
        assert inputs["x"].shape == (5, 3, 2, 2)
        write_settled(path, workload.model.inputs, tmp_path / "settled.onnx")
        assert graph_spec(load_graph(tmp_path / "settled.onnx"))[0] == workload.model.inputs
        (answer,) = graph_outputs(tmp_path / "settled.onnx", inputs)
        np.testing.assert_allclose(answer, inputs["x"].mean(axis=(2, 3)), rtol=1e-6)


def test_without_either_the_number_of_sides_is_asked_for(tmp_path: Path) -> None:
    path = save(tmp_path / "net.onnx", None)
    assert refusal(path) == (
        f"{path}: input 'x': the file does not tell how many sides it has; say it with --shape "
        "x=1x3x224x224 (with its own sides), in a suite shapes = { net = { x = [1, 3, 224, 224] } "
        '}, or give samples: --samples FILE.npz, in a suite samples = { net = "FILE.npz" }'
    )
    write(tmp_path / "s.npz", {"z": GOOD["x"]})
    assert "how many sides it has" in refusal(path, tmp_path / "s.npz")


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_engines_take_the_shape_of_the_samples(tmp_path: Path, engine: str) -> None:
    pytest.importorskip(engine)
    from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
    from perfsuite.export.onnx import graph_spec, load_graph
    from perfsuite.runtimes.table import RUNTIMES

    path = save(tmp_path / "net.onnx", ("n", 3, "height", "width"))
    write(tmp_path / "s.npz")
    inputs = onnx_workload(path, tmp_path / "s.npz").task.inputs(2, 0)
    runtime, (spec, outputs) = RUNTIMES[engine](), graph_spec(load_graph(path))
    manifest = Manifest(engine, "cpu", "fp32", 2, spec, outputs, lossy=False, quantized=False)
    runtime.build(Variant(path, None, quantized=False), manifest, tmp_path)
    with runtime.open(tmp_path, manifest, SessionOptions(2, 1)) as session:
        (answer,) = session.run(inputs)
    np.testing.assert_allclose(answer, inputs["x"].mean(axis=(2, 3)), rtol=1e-6)


@pytest.mark.parametrize("elem", [TensorProto.STRING, TensorProto.BFLOAT16])
def test_inputs_that_cannot_be_made_up_are_refused(tmp_path: Path, elem: int) -> None:
    told = refusal(save(tmp_path / "net.onnx", elem=elem))
    assert re.search(r"net\.onnx: input 'x' takes (object|bfloat16) .*plain integers", told)


def test_a_graph_without_inputs_is_refused(tmp_path: Path) -> None:
    value = helper.make_tensor("v", TensorProto.FLOAT, [1, 3], [1.0, 2.0, 3.0])
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 3])
    node = helper.make_node("Constant", [], ["y"], value=value)
    graph = helper.make_graph([node], "net", [], [output])
    opset = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opset, ir_version=9), tmp_path / "net.onnx")
    assert "net.onnx: the graph has no inputs" in refusal(tmp_path / "net.onnx")


@pytest.mark.parametrize(("shape", "side"), [((0, 3, 2, 2), 0), (("n", 3, 0, 2), 2)])
def test_a_side_of_no_length_is_told(tmp_path: Path, shape: Sides, side: int) -> None:
    told = refusal(save(tmp_path / "net.onnx", shape))
    assert f"net.onnx: input 'x': its side {side} is 0 in the file, so that it has no value" in told
    assert f"dim[{side}].dim_param = 'batch'" in told


def two_of_one_name(path: Path, kind: str) -> Path:
    """Write a net that joins two inputs (batch, width), or adds them up."""
    attributes = {"axis": 1} if kind == "Concat" else {}
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", side])
        for name, side in (("a", "width"), ("b", "width"), ("y", None))
    ]
    nodes = [helper.make_node(kind, ["a", "b"], ["y"], **attributes)]
    graph = helper.make_graph(nodes, "net", values[:2], values[2:])
    imports = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), path)
    return path


def test_sides_of_one_name_may_have_several_lengths_if_the_file_runs_with_them(
    tmp_path: Path,
) -> None:
    pytest.importorskip("onnxruntime")
    samples = tmp_path / "s.npz"
    np.savez(samples, a=np.ones((6, 4), np.float32), b=np.ones((6, 3), np.float32))
    found = onnx_workload(two_of_one_name(tmp_path / "joined.onnx", "Concat"), samples)
    assert [one.shape for one in found.model.inputs] == [("batch", 4), ("batch", 3)]
    added = two_of_one_name(tmp_path / "added.onnx", "Add")
    assert refusal(added, samples).endswith(
        "side 'width' is 4 in 'a' and 3 in 'b', and is the same in both"
    )
