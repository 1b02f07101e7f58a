"""A row that is taken of rounded values by its index has the sides that it should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from inside_branches import inside_branch
from on_openvino import answer_of, wanted_of
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.errors import BuildError
from perfsuite.runtimes.openvino.runtime import OpenVino, _check_sides
from perfsuite.runtimes.openvino.single_rows import with_slices

pytest.importorskip("openvino")
engine = pytest.importorskip("onnxruntime")

RANDOM = np.random.default_rng(0)


def pair(value: str, scale: str, zero: str) -> list[onnx.NodeProto]:
    quantize = [value, scale, zero]
    return [
        helper.make_node("QuantizeLinear", quantize, [f"{value}_q"], f"{value}/q"),
        helper.make_node(
            "DequantizeLinear", [f"{value}_q", scale, zero], [f"{value}_d"], f"{value}/d"
        ),
    ]


def model(
    opset: int = 13, *, index: object = -1, rounds: bool = True, alike: bool = False
) -> onnx.ModelProto:
    """Return a product, of whose rows the last is taken, and a linear layer; both in 8 bits."""
    held: dict[str, object] = {
        "scale": np.float32(0.03), "wide": np.float32(0.2),
        "zero": np.uint8(136), "index": np.array(index, np.int64),
        "w": RANDOM.integers(-100, 100, (8, 7)).astype(np.int8),
        "b": RANDOM.normal(size=5).astype(np.float32),
        "w2": RANDOM.integers(-100, 100, (5, 7)).astype(np.int8),
    }  # fmt: skip
    for name, channels in (("w", 7), ("w2", 5)):
        scales = RANDOM.uniform(0.005, 0.02, channels).astype(np.float32)
        held[f"{name}_scale"] = np.full_like(scales, 0.01) if alike else scales
        held[f"{name}_zero"] = np.zeros(channels, np.int8)
    weights = [
        helper.make_node(
            "DequantizeLinear",
            [name, f"{name}_scale", f"{name}_zero"],
            [f"{name}_d"],
            f"{name}/d",
            axis=axis,
        )
        if rounds
        else helper.make_node("Cast", [name], [f"{name}_d"], f"{name}/d", to=TensorProto.FLOAT)
        for name, axis in (("w", 1), ("w2", 0))
    ]
    nodes = [
        *(pair("x", "scale", "zero") if rounds else []),
        *weights,
        helper.make_node("MatMul", ["x_d" if rounds else "x", "w_d"], ["rows"], "product"),
        helper.make_node("Gather", ["rows", "index"], ["row"], "last", axis=1),
        *(pair("row", "wide", "zero") if rounds else []),
        helper.make_node(
            "Gemm", ["row_d" if rounds else "row", "w2_d", "b"], ["y"], "linear", transB=1
        ),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 6, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 5])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in held.items()],
    )
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", opset)])


def run(graph: onnx.ModelProto, pictures: dict[str, np.ndarray]) -> list[np.ndarray]:
    session = engine.InferenceSession(graph.SerializeToString())
    found: list[np.ndarray] = session.run(None, pictures)
    return found


@pytest.mark.parametrize("index", [-1, 2])
@pytest.mark.parametrize("alike", [False, True])
def test_a_row_of_rounded_values_has_no_side_too_many(
    index: int, alike: bool, tmp_path: Path
) -> None:
    graph = model(index=index, alike=alike)
    onnx.save(graph, tmp_path / "model.onnx")
    (tmp_path / "made").mkdir()
    specs = (InputSpec("x", "float32", ("batch", 6, 8)),)
    manifest = Manifest("openvino", "cpu", "fp32", 1, specs, ("y",), True, True)
    runtime = OpenVino()
    runtime.build(Variant(tmp_path / "model.onnx", None, True), manifest, tmp_path / "made")
    pictures = {"x": RANDOM.normal(size=(4, 6, 8)).astype(np.float32)}
    with runtime.open(tmp_path / "made", manifest, SessionOptions(4, 1, inspect=True)) as session:
        (found,) = session.run(pictures)
        named = {name for one in session.profile([pictures], 1).kernels for name in one.origins}
    assert "last" in named
    assert named <= {node.name for node in graph.graph.node}
    (wanted,) = run(graph, pictures)
    np.testing.assert_allclose(found, wanted, atol=0.05 * float(np.abs(wanted).max()))


@pytest.mark.parametrize("index", [0, 3, -1, -2, [0], [-1]])
@pytest.mark.parametrize("opset", [13, 17])
def test_a_slice_takes_the_row_that_the_gather_takes(opset: int, index: object) -> None:
    graph = model(opset, index=index)
    taken = {name: onnx.ModelProto() for name in ("gather", "slice")}
    for name, one in (("gather", graph), ("slice", with_slices(graph))):
        taken[name].CopyFrom(one)
        del taken[name].graph.output[:], taken[name].graph.node[-3:]
        taken[name].graph.output.append(
            helper.make_tensor_value_info("row", TensorProto.FLOAT, None)
        )
    pictures = {"x": RANDOM.normal(size=(4, 6, 8)).astype(np.float32)}
    rows = [run(one, pictures)[0] for one in taken.values()]
    np.testing.assert_array_equal(*rows)
    assert "Gather" not in {node.op_type for node in taken["slice"].graph.node}


def test_only_rows_of_graphs_that_round_are_taken_so() -> None:
    for same in (model(rounds=False), model(index=[0, 2])):
        assert with_slices(same) is same


def test_what_is_compiled_with_other_sides_is_refused() -> None:
    import openvino

    class Port:
        def __init__(self, *sides: int) -> None:
            self.partial_shape = openvino.PartialShape(list(sides))

        def get_any_name(self) -> str:
            return "y"

    class Asked:
        outputs = (Port(-1, 5),)

    class Given:
        outputs = (Port(1, 4, 5),)

    _check_sides(Asked, Asked)
    with pytest.raises(BuildError, match=r"the output 'y'.*another engine"):
        _check_sides(Asked, Given)


def test_a_row_in_a_branch_is_taken_by_a_slice(tmp_path: Path) -> None:
    graph = inside_branch(model())
    x = RANDOM.normal(size=(2, 6, 8)).astype(np.float32)
    found, wanted = answer_of(graph, x, tmp_path), wanted_of(graph, x)
    assert found.shape == wanted.shape == (2, 5)
    np.testing.assert_allclose(found, wanted, atol=0.2)  # a step
