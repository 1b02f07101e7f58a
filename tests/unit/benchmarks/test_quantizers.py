"""Other quantizers as passes: which settings are best, and what NNCF's accuracy control is told."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.task import Inputs, Predict

pytest.importorskip("onnxruntime")

sys.path.append(str(Path(__file__).parents[3] / "benchmarks"))
import static_settings
from nncf_validation import Validation
from quantizers import OnnxRuntimeStatic
from static_settings import Setting, best_static, newer, opset

PICTURES = np.random.default_rng(0).normal(0, 1, (12, 3, 6, 6)).astype(np.float32)
LABELS = np.arange(12) % 4


def model(version: int = 17) -> onnx.ModelProto:
    """Return a convolution, global pooling and four numbers a picture."""
    rng = np.random.default_rng(1)
    weights = {"w": rng.normal(0, 0.3, (4, 3, 3, 3)), "b": rng.normal(0, 0.1, 4)}
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], "c", pads=[1] * 4),
        helper.make_node("Relu", ["c"], ["r"], "r"),
        helper.make_node("GlobalAveragePool", ["r"], ["p"], "p"),
        helper.make_node("Flatten", ["p"], ["y"], "f"),
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 4])],
        [numpy_helper.from_array(a.astype(np.float32), name) for name, a in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=8)


def context() -> PassContext:
    def calibration(samples: int) -> Iterator[Inputs]:
        for start in range(0, min(samples, len(PICTURES)), 4):
            yield {"x": PICTURES[start : start + 4]}

    def validation(predict: Predict) -> np.ndarray:
        parts = [predict({"x": PICTURES[at : at + 5]})[0] for at in range(0, len(PICTURES), 5)]
        found = np.concatenate(parts).argmax(axis=1) == LABELS
        return found.astype(np.float64)[:, None]

    def refuse(*_: Any) -> Any:
        raise AssertionError("nothing is trained or timed here")

    return PassContext(
        {"x": PICTURES[:1]}, calibration, refuse, Target("", "cpu"), Path("none"),
        lambda *_: None, refuse, validation=validation, metric=lambda rows: float(rows.mean()),
    )  # fmt: skip


def answers(graph: onnx.ModelProto) -> np.ndarray:
    return np.concatenate(static_settings._answers(graph, {"x": PICTURES}))


def test_all_validation_samples_are_judged_one_by_one() -> None:
    graph = model()
    judge = Validation(context(), graph)
    assert [place for place, _ in judge.items] == list(range(12))
    assert all(inputs["x"].shape == (1, 3, 6, 6) for _, inputs in judge.items)
    right = answers(graph).argmax(axis=1) == LABELS
    metric, each = judge(graph, judge.items)
    assert metric == pytest.approx(right.mean()) and each == right.astype(float).tolist()


def test_only_the_samples_that_are_asked_for_are_answered_by_the_model() -> None:
    judge = Validation(context(), model())

    def all_of_class_3(_: Inputs) -> dict[str, np.ndarray]:
        return {"y": np.eye(4)[[3]]}

    # Labels 3, 0 and 3, in this order.
    metric, each = judge(all_of_class_3, [judge.items[place] for place in (7, 4, 11)])
    assert each == [1.0, 0.0, 1.0] and metric == pytest.approx(2 / 3)


def test_old_graphs_become_new_enough_for_scales_along_an_axis() -> None:
    assert opset(newer(model(11))) == 13
    same = model(17)
    assert newer(same) is same


@pytest.mark.parametrize(("bits", "tried"), [(8, 6), (7, 12)])
def test_the_fastest_of_the_most_exact_settings_is_taken(
    bits: int, tried: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entropy is exact and slow, MinMax exact and fast, Percentile faster and wrong."""
    monkeypatch.setattr(static_settings, "weight_bits", lambda: bits)
    made = {one: model() for one in static_settings.settings()}
    assert len(made) == tried
    for one, graph in made.items():
        graph.doc_string = one.method
        if one.method == "Percentile":
            graph.graph.initializer[0].CopyFrom(
                numpy_helper.from_array(-numpy_helper.to_array(graph.graph.initializer[0]), "w")
            )
    times = {"Entropy": 2.0, "MinMax": 1.0, "Percentile": 0.5}
    monkeypatch.setattr(static_settings, "static", lambda _graph, _samples, one: made[one])
    monkeypatch.setattr(
        static_settings,
        "_times_s",
        lambda graphs, inputs: [times[graph.doc_string] for graph in graphs],
    )
    found, told = best_static(model(), [], [{"x": PICTURES}])
    assert found.doc_string == "MinMax"
    assert told.startswith(f"{Setting()} (of ") and "Percentile" in told


def test_the_best_settings_stand_in_the_graph() -> None:
    made = OnnxRuntimeStatic(calibration_samples=8, best=True).apply(model(), context())
    (told,) = [one.value for one in made.metadata_props if one.key == "quantize_static"]
    assert "uint8 activations" in told
    wanted, found = answers(model()), answers(made)
    assert np.linalg.norm(found - wanted) < 0.05 * np.linalg.norm(wanted)
