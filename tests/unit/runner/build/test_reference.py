"""Answers that differ from the model's, and what is said where they are detections."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.task import Outputs, Task
from perfsuite.errors import BuildError, ParityError
from perfsuite.export import evaluated
from perfsuite.export.frozen import mark_frozen
from perfsuite.runner.build.reference import check_export, differences, file_outputs

HINT = (
    "give the task a method agreement(expected, answered, precision) (perfsuite.Task.agreement), "
    "or name the layout of an ONNX file in a suite's [detection.NAME]"
)


def boxes(count: int, *lead: int) -> Outputs:
    """Return boxes, labels and scores, as torchvision's detectors do."""
    rng = np.random.default_rng(0)
    shape = (*lead, count)
    return [rng.random((*shape, 4)), np.ones(shape), rng.random(shape)]


@pytest.mark.parametrize("lead", [(), (1,)])
def test_detections_in_another_order_name_the_method_that_compares_them(
    lead: tuple[int, ...],
) -> None:
    expected = boxes(5, *lead)
    moved = [one[::-1] if not lead else one[:, ::-1] for one in expected]
    for other in (moved, boxes(4, *lead)):
        with pytest.raises(ParityError) as caught:
            differences(Task(), expected, other, ["boxes", "labels", "scores"], "fp32")
        assert str(caught.value).endswith(f"to have them compared as sets, {HINT}")


def test_other_answers_are_told_as_they_are() -> None:
    scores = [np.array([[0.0, 1.0, 2.0, 3.0]])]
    with pytest.raises(ParityError) as caught:
        differences(Task(), scores, [scores[0] + 1.0], ["scores"], "fp32")
    assert "agreement" not in str(caught.value)


def test_detections_whose_scores_differ_by_what_means_nothing_may_change_places() -> None:
    boxes = np.array([[0, 0, 9, 9], [50, 50, 60, 60]], np.float32)
    scores, labels = np.array([0.9, 0.8997], np.float32), np.array([1, 2])
    expected, names = [boxes, scores, labels], ["boxes", "scores", "labels"]
    answered = [boxes[::-1], np.array([0.9001, 0.8999], np.float32), labels[::-1]]
    with pytest.raises(ParityError):
        differences(Task(), expected, answered, names, "fp32")
    found = differences(Task(), expected, answered, names, "fp32", lambda: [0.0, 1e-3, 0.0])
    assert found["boxes"] == found["labels"] == 0.0
    with pytest.raises(ParityError):  # an integer that is another one
        differences(
            Task(), expected, [*answered[:2], labels], names, "fp32", lambda: [0.0, 1e-3, 0.0]
        )


def test_a_task_that_compares_detections_is_asked() -> None:
    class Own(Task):
        def agreement(
            self, expected: Outputs, answered: Outputs, precision: str
        ) -> dict[str, float]:
            return {"unmatched": 1.0}

    found = differences(Own(), boxes(5), boxes(4), ["boxes", "labels", "scores"], "fp32")
    assert found == {"unmatched": 1.0}


def dilated(path: Path, **sides: Any) -> Path:
    """Write a dilated convolution, which ONNX Runtime takes without padding of its own choice."""
    weights = np.random.default_rng(0).normal(size=(2, 3, 3, 3)).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], "conv", dilations=[2, 2], **sides)
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", *"chw"]) for n in "xy"]
    graph = helper.make_graph(
        [node], "g", values[:1], values[1:], [numpy_helper.from_array(weights, "w")]
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)]), path)
    return path


def test_what_onnx_runtime_does_not_run_is_answered_by_onnx(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = {"x": np.random.default_rng(1).normal(size=(1, 3, 8, 8)).astype(np.float32)}
    file = dilated(tmp_path / "same.onnx", auto_pad="SAME_LOWER")
    with pytest.warns(UserWarning, match="reference implementation, because same.onnx fails on"):
        (found,) = file_outputs(file, x)
    (expected,) = file_outputs(dilated(tmp_path / "plain.onnx", pads=[2, 2, 2, 2]), x)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    monkeypatch.setattr(evaluated, "_MOST_MACS", 2 * 3 * 9 * 64 - 1)
    with pytest.raises(BuildError, match="Dilation not supported"):
        file_outputs(file, x)


def test_what_neither_runs_fails_with_the_reason_of_onnx_runtime(tmp_path: Path) -> None:
    x = {"x": np.zeros((1, 4, 8, 8), np.float32)}  # of four channels, and not of three
    with pytest.raises(BuildError, match="fails on these inputs"):
        file_outputs(dilated(tmp_path / "plain.onnx", pads=[2, 2, 2, 2]), x)


def test_an_export_that_differs_names_what_its_trace_keeps_for_good(tmp_path: Path) -> None:
    import torch
    from torch import nn

    class Doubling(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x if x.sum() > 0 else x

    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, ["batch", 3]) for n in "xy"]
    nodes = [helper.make_node("Add", ["x", "x"], ["y"], "twice")]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    samples = [{"x": np.full((1, 3), value, np.float32)} for value in (1, -1)]
    for places in ("", "net.py:7 (a branch)"):
        mark_frozen(model, places)
        onnx.save(model, tmp_path / "net.onnx")
        check_export(Doubling(), tmp_path / "net.onnx", samples[:1], Task())
        with pytest.raises(ParityError) as caught:
            check_export(Doubling(), tmp_path / "net.onnx", samples, Task())
        assert ("net.py:7 (a branch)" in str(caught.value)) == bool(places)
        said = "the exported graph answers otherwise than the module: output 'y' differs: "
        assert said in str(caught.value)


def test_an_export_is_not_blamed_for_what_near_ties_decide(tmp_path: Path) -> None:
    import torch
    from torch import nn

    class Best(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.argmax(1)

    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 8])
    y = helper.make_tensor_value_info("y", TensorProto.INT64, [1])
    last = helper.make_node("ArgMax", ["x"], ["y"], axis=1, keepdims=0, select_last_index=1)
    graph = helper.make_graph([last], "g", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.save(model, tmp_path / "net.onnx")
    clear, tied = np.arange(8, dtype=np.float32)[None], np.ones((1, 8), np.float32)
    check_export(Best(), tmp_path / "net.onnx", [{"x": clear}], Task())
    with pytest.raises(ParityError, match="they hang on ties"):
        check_export(Best(), tmp_path / "net.onnx", [{"x": tied}], Task())
