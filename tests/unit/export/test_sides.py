"""Names and places tell which side of an input is the batch, unless a graph says it itself."""

from __future__ import annotations

from pathlib import Path

import pytest
from open_sides import Side, node, save, segmenter, steps_first, with_positions

from perfsuite.domain.model import InputSpec
from perfsuite.errors import ConfigError
from perfsuite.export.onnx import graph_spec, load_graph, read_graph, write_settled
from perfsuite.export.sides import batch_sides, declared, keep_settled, settled

onnx = pytest.importorskip("onnx")


def spec(name: str, *sides: int | str) -> InputSpec:
    return InputSpec(name, "float32", sides)


@pytest.mark.parametrize(
    ("inputs", "names", "named"),
    [
        ((spec("x", "batch", 3, "h", "w"),), ("batch",), True),
        ((spec("x", "N", 3, 8, 8),), ("N",), True),
        ((spec("x", "seq", "batch", 4),), ("batch",), True),
        ((spec("x", "T", "N", 4),), ("N",), True),
        ((spec("x", "b", "n", 3),), ("b",), True),  # points: the surer of two
        ((spec("x", "x[0]", 3, "x[2]", "x[3]"),), ("x[0]",), False),
        (
            (spec("x", "DynamicDimension.0", 3, "DynamicDimension.1", 8),),
            ("DynamicDimension.0",),
            0,
        ),
        ((spec("x", "s77", 3, 8, 8),), ("s77",), False),
        ((spec("x", "anything", 3, 8, 8),), ("anything",), False),
        ((spec("x", "sequence_length", 80),), (), False),
        ((spec("x", "T", 80),), (), False),
        ((spec("x", "num_boxes", 4),), (), False),
        ((spec("ids", "batch", "seq"), spec("pos", "seq")), ("batch",), True),
        ((spec("ids", "one", "two"), spec("pos", "two")), ("one",), False),
        ((spec("a", "a_batch", 3), spec("b", "b_batch", 3)), ("a_batch", "b_batch"), True),
        ((spec("x", "batch", 3), spec("scale", "scale[0]", 2)), ("batch", "scale[0]"), True),
        ((spec("x", "batch", 3), spec("boxes", "boxes", 4)), ("batch",), True),
        ((spec("a", "N", 3, 8, 8), spec("b", "M", 3, 8, 8)), ("N", "M"), True),  # pairs of pictures
        ((spec("x", "N", 3, 8, 8), spec("rois", "num_rois", 3, 8, 8)), ("N",), True),
        ((spec("x", "N", 3, 8, 8), spec("w", "N", 3, 8, 8)), ("N",), True),
        ((spec("batch", "batch[0]", "batch[1]"),), ("batch[0]",), False),  # an input's name
        ((spec("x", 2, 3), spec("t")), (), False),
    ],
)
def test_names_and_places_tell_the_batch(
    inputs: tuple[InputSpec, ...], names: tuple[str, ...], named: bool
) -> None:
    assert batch_sides(inputs) == (names, named)


@pytest.mark.parametrize("unnamed", [None, "?", "-1", "None"])
def test_sides_without_names_get_names_of_their_own(tmp_path: Path, unnamed: Side) -> None:
    path = segmenter(tmp_path / "net.onnx", (unnamed, 3, unnamed, unnamed))
    assert declared(read_graph(path)) == (spec("x", "x[0]", 3, "x[2]", "x[3]"),)
    assert graph_spec(load_graph(path))[0] == (spec("x", "batch", 3, "x[2]", "x[3]"),)


def test_one_name_for_all_sides_is_none(tmp_path: Path) -> None:
    path = segmenter(tmp_path / "net.onnx", ("dynamic", 3, "dynamic", "dynamic"))
    assert graph_spec(load_graph(path))[0] == (spec("x", "batch", 3, "x[2]", "x[3]"),)


def test_only_the_batch_is_called_batch(tmp_path: Path) -> None:
    ids, pos = graph_spec(load_graph(with_positions(tmp_path / "net.onnx")))[0]
    assert (ids.shape, ids.per_call) == (("batch", "seq"), False)
    assert (pos.shape, pos.per_call) == (("seq",), True)
    (x,) = graph_spec(load_graph(steps_first(tmp_path / "steps.onnx")))[0]
    assert x.shape == ("seq", "batch", 4)


def test_settled_sides_are_kept(tmp_path: Path) -> None:
    path = steps_first(tmp_path / "net.onnx", ("N", "M", 4))  # whose names mislead
    wanted = (InputSpec("x", "float32", (7, "batch", 4)),)
    write_settled(path, wanted, tmp_path / "settled.onnx")
    found = load_graph(tmp_path / "settled.onnx")
    assert graph_spec(found)[0] == wanted
    assert found.graph.output[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    assert settled(found) == ()
    assert settled(load_graph(path)) is None
    alone = (InputSpec("x", "float32", ("N", 5, 4), per_call=True),)
    write_settled(path, alone, tmp_path / "alone.onnx")
    before = load_graph(tmp_path / "alone.onnx")
    assert graph_spec(before)[0] == alone, "the first side is not taken for the batch again"
    after = onnx.ModelProto()
    after.graph.CopyFrom(before.graph)
    keep_settled(before, after)
    assert settled(after) == ("x",)


def test_lengths_are_not_written_into_what_may_have_others(tmp_path: Path) -> None:
    sides = ("N", 3, "s", "t")
    nodes = [node("Identity", "x", "i"), node("Transpose", "i", "y", perm=[0, 1, 3, 2])]
    path = save(tmp_path / "net.onnx", nodes, {"x": sides}, {"y": ("N", 3, "t", "u")})
    write_settled(path, (spec("x", "batch", 3, 6, 8),), tmp_path / "settled.onnx")
    dims = load_graph(tmp_path / "settled.onnx").graph.output[0].type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["batch", 3, 0, "u"]


def test_outputs_of_unknown_shape_are_inferred(tmp_path: Path) -> None:
    path = save(tmp_path / "net.onnx", [node("Relu", "x", "y")], {"x": ("N", 3)}, {"y": None})
    (output,) = load_graph(path).graph.output
    dims = output.type.tensor_type.shape.dim
    assert [dim.dim_param or dim.dim_value for dim in dims] == ["batch", 3]


def test_inputs_that_are_no_tensors_are_told() -> None:
    from onnx import TensorProto, helper

    inner = helper.make_tensor_type_proto(TensorProto.FLOAT, None)
    sequence = helper.make_value_info("q", helper.make_sequence_type_proto(inner))
    unknown = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    for value, words in (
        (sequence, "'q' is a sequence, not a tensor"),
        (unknown, "how many sides it has is not known"),
    ):
        model = helper.make_model(helper.make_graph([], "g", [value], []))
        with pytest.raises(ConfigError, match=words):
            declared(model)
