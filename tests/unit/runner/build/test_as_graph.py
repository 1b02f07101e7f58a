"""An engine that computes something else than a rounded graph is found, rounding itself is not."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest
from perfsuite.domain.task import Task
from perfsuite.errors import ParityError
from perfsuite.processor import read_processor
from perfsuite.runner.build import as_graph
from perfsuite.runner.build.as_graph import require_as_graph
from perfsuite.runner.build.likeness import NOT_FLOAT, SETS, likeness
from perfsuite.runner.build.unlike import Share, unlike

pytest.importorskip("onnxruntime")

SPEC = InputSpec("x", "float32", ("batch", 4))
MANIFEST = Manifest("openvino", "cpu", "fp32", 2, (SPEC,), ("y",), True, True)
X = np.array([[1.0, 2.0, 3.0, -4.0], [4.0, -1.0, 2.0, 0.5]], np.float32)


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    """Return a graph that rounds values to whole multiples of 0.5."""
    held = {"step": np.float32(0.5), "zero": np.int8(0)}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["y"]),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 4]) for name in "xy"]
    made = helper.make_graph(
        nodes,
        "graph",
        values[:1],
        values[1:],
        [numpy_helper.from_array(np.asarray(one), name) for name, one in held.items()],
    )
    imports = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(made, opset_imports=imports, ir_version=8), tmp_path / "g.onnx")
    return tmp_path / "g.onnx"


def ask(graph: Path, answer: np.ndarray, expected: np.ndarray = X) -> bool:
    class Plain(Task):
        pass

    task = Plain()
    found = likeness(task, MANIFEST, [{"x": X}], [[expected]], [[answer]])
    return require_as_graph(task, MANIFEST, graph, [{"x": X}], [[expected]], [[answer]], found)


def test_an_engine_that_answers_otherwise_than_the_graph_is_told(graph: Path) -> None:
    with pytest.raises(
        ParityError, match=r"openvino computes something else .*\(cosine 0\), .*\(cosine 1\);"
    ):
        ask(graph, X[:, ::-1] * [1, 1, -1, -1])  # at right angles to what is right


def test_an_engine_with_several_times_the_error_of_the_graph_is_told(graph: Path) -> None:
    """As one that scaled a mean by other channels: a cosine of 0.91, and 0.996 by the graph."""
    ask(graph, X + 0.2, X + 0.1)  # twice as far as the graph is, which rounds nothing here
    with pytest.raises(ParityError, match=r"error to fp32 is 0.1\d+ .* stands 0\.0\d+ "):
        ask(graph, X + 0.4, X + 0.1)


def test_an_engine_that_is_off_the_graph_is_suspect(graph: Path) -> None:
    """By more than a hundredth, and a fourth of what rounding costs."""
    assert not ask(graph, X + 0.001, X + 0.001)
    assert not ask(graph, X, X + 0.01), "which the graph answers, too"
    assert not ask(graph, X + 0.01, X + 0.1)
    assert ask(graph, X + 0.05, X + 0.1)


@pytest.mark.parametrize(
    ("fits", "flags", "told"),
    [
        (False, ("avx2",), "no VNNI, .* reduce_range"),
        (False, ("avx2", "avx512_vnni"), "fault of the engine"),
        (True, ("avx2",), "fault of the engine"),
    ],
)
def test_sums_that_overflow_without_vnni_are_told_as_that(
    graph: Path, monkeypatch: pytest.MonkeyPatch, fits: bool, flags: tuple[str, ...], told: str
) -> None:
    there = replace(read_processor(), flags=flags)
    monkeypatch.setattr(as_graph, "read_processor", lambda: there)
    monkeypatch.setattr(as_graph, "fits_16_bits", lambda _: fits)
    with pytest.raises(ParityError, match=told):
        ask(graph, -X)


def test_an_engine_that_answers_as_the_graph_is_right_however_far_from_fp32(graph: Path) -> None:
    ask(graph, X)
    ask(graph, X, -X)  # the graph itself is the opposite of fp32


def test_what_is_near_fp32_is_not_doubted() -> None:
    ask(Path("no such file"), X + 0.01)


class Detector(NamedTuple):
    """A graph that gives boxes, whole numbers and scores, each as it is given or as it is `off`."""

    path: Path
    expected: list[np.ndarray]

    def ask(self, *answer: np.ndarray) -> None:
        manifest = Manifest(
            "openvino", "cpu", "fp32", 1, (SPEC,), ("boxes", "labels", "scores"), True, True
        )
        found = likeness(Task(), manifest, [{"x": X}], [self.expected], [[*answer]])
        assert all(one.left_out for one in found)
        given = [{"x": X}]
        require_as_graph(Task(), manifest, self.path, given, [self.expected], [[*answer]], found)


@pytest.fixture
def detector(tmp_path: Path) -> Detector:
    """Return one whose graph has lost two of forty boxes, and has the others in another order."""
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 100, (40, 2))
    boxes = np.concatenate([corners, corners + rng.uniform(20, 60, (40, 2))], axis=1)
    expected = [
        boxes.astype(np.float32),
        rng.integers(1, 90, 40),
        np.sort(rng.uniform(0.3, 1, 40))[::-1].astype(np.float32),
    ]
    lost = (one[::-1][2:] for one in expected)
    held = dict(zip(("boxes", "labels", "scores"), lost, strict=True))
    nodes = [helper.make_node("Identity", [f"{name}0"], [name]) for name in held]
    values = [
        helper.make_tensor_value_info(
            name, TensorProto.INT64 if one.dtype.kind == "i" else TensorProto.FLOAT, None
        )
        for name, one in held.items()
    ]
    made = helper.make_graph(
        [*nodes, helper.make_node("Relu", ["x"], ["r"])],
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        values,
        [numpy_helper.from_array(one.copy(), f"{name}0") for name, one in held.items()],
    )
    imports = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(made, opset_imports=imports, ir_version=8), tmp_path / "g.onnx")
    return Detector(tmp_path / "g.onnx", expected)


def test_detections_may_come_in_another_order_and_number(detector: Detector) -> None:
    detector.ask(*detector.expected)
    detector.ask(*(one[::-1] for one in detector.expected))
    detector.ask(*(one[5:] for one in detector.expected))


def test_other_boxes_or_labels_than_the_graphs_are_told(detector: Detector) -> None:
    boxes, labels, scores = detector.expected
    moved = boxes[:, [1, 0, 3, 2]] * np.float32(0.5)
    with pytest.raises(ParityError, match=r"'boxes': .* \d+ % of its 40 rows .*, and 3 % "):
        detector.ask(moved, labels, scores)
    with pytest.raises(ParityError, match=r"'labels': openvino .* \d+ % of its 40 rows are "):
        detector.ask(boxes, labels + 1, scores)
    with pytest.raises(ParityError, match=r"'boxes': openvino .* 100 % of its 20 rows"):
        detector.ask(*(one[:0] for one in detector.expected))


def test_boxes_that_the_graph_has_lost_too_are_no_fault_of_the_engine(detector: Detector) -> None:
    detector.expected[0] = detector.expected[0][:, ::-1].copy()  # of another net altogether
    detector.ask(np.zeros((0, 4), np.float32), *detector.expected[1:])


def test_masks_of_classes_are_compared_place_by_place() -> None:
    rng = np.random.default_rng(0)
    mask = rng.integers(0, 5, (1, 16, 16))
    off = np.where(rng.random(mask.shape) < 0.25, mask + 1, mask)
    share = unlike([(mask, off), (mask, mask)], NOT_FLOAT)
    assert (share.among, share.what) == (512, "values")
    assert share.value == pytest.approx((mask != off).mean() / 2)
    assert unlike([(mask, mask[:, :8])], NOT_FLOAT).what == "rows"
    texts = np.array(["ant", "bee"], object)
    assert unlike([(texts, texts[::-1])], NOT_FLOAT).value == 1.0
    assert unlike([(texts, texts[:1])], NOT_FLOAT).among == 0


def test_rows_of_zeros_fill_up_and_few_rows_prove_nothing() -> None:
    few = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    filled = np.concatenate([few, np.zeros((98, 4))])
    assert unlike([(filled, few)], SETS) == Share(0.0, 2, "rows")
    assert unlike([(few, few[:1])], SETS) == Share(pytest.approx(1 / 3), 2, "rows")
    assert unlike([(few, few * 1.05)], SETS).value == 0.0
    assert unlike([(few, few * 1.2)], SETS).value == 1.0
    assert unlike([(few[:0], few[:0])], SETS) == Share(0.0, 0, "rows")


def test_all_key_points_of_a_person_are_one_row() -> None:
    people = np.random.default_rng(0).normal(size=(3, 17, 3)) + 5
    assert unlike([(people[:0], people[:1])], SETS) == Share(1.0, 1, "rows")
    assert unlike([(people, people[[2, 0]])], SETS) == Share(pytest.approx(1 / 5), 3, "rows")
    assert unlike([(people, people)], SETS) == Share(0.0, 51, "rows")


@pytest.fixture
def chooser(tmp_path: Path) -> Path:
    """Return a graph that gives eight places of the largest of 64 values, rounded to halves."""
    held = {"step": np.float32(0.5), "zero": np.int8(0), "most": np.array([8])}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "step", "zero"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["r"]),
        helper.make_node("TopK", ["r", "most"], ["v", "y"]),
    ]
    made = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [1, 8])],
        [numpy_helper.from_array(np.asarray(one), name) for name, one in held.items()],
    )
    imports = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(made, opset_imports=imports, ir_version=8), tmp_path / "c.onnx")
    return tmp_path / "c.onnx"


@pytest.mark.parametrize("tie", [True, False])
def test_an_engine_may_choose_others_of_values_that_rounding_makes_equal(
    chooser: Path, *, tie: bool
) -> None:
    """ONNX takes the first of them, as fp32 does here, and OpenVINO any."""
    falling = np.linspace(1.1, 0.9, 64) if tie else np.arange(64.0, 0, -1)
    given, expected = [{"x": falling.astype(np.float32)[None]}], [[np.arange(8)[None]]]
    last = [[np.arange(63, 55, -1)[None]]]
    manifest = Manifest("openvino", "cpu", "fp32", 1, (SPEC,), ("y",), True, True)
    found = likeness(Task(), manifest, given, expected, last)

    def ask() -> bool:
        return require_as_graph(Task(), manifest, chooser, given, expected, last, found)

    if tie:
        assert ask(), "it is still suspect"
    else:
        with pytest.raises(ParityError, match="100 % of its 8 values are not those of fp32"):
            ask()
