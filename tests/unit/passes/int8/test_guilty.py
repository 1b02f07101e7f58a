"""The layers that lose most are found and named, and stay in float until the loss is allowed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from outlier_net import LAYERS, float_layers, outlier_net, pictures
from passing import context

from perfsuite.domain.task import Inputs, Predict
from perfsuite.errors import Unsupported
from perfsuite.export.left import left_in
from perfsuite.passes.int8 import guilty
from perfsuite.passes.int8.answers import Answers
from perfsuite.passes.int8.int8 import Int8
from perfsuite.passes.int8.tried import Tried
from perfsuite.runtimes.shared.quantization import weight_bits

COUNT = 400


def asked(rows: Callable[[Predict], np.ndarray], **more: Any) -> Any:
    return context("openvino", validation=rows, metric=lambda found: float(found.mean()), **more)


def right(predict: Predict, batch: int = 7) -> np.ndarray:
    """Return which validation samples are answered as by the float net, asked a few at a time."""
    float_answers = Answers(outlier_net())
    rows = []
    for start in range(0, COUNT, batch):
        x = {"x": pictures(COUNT, seed=2)[start : start + batch]}
        rows.append(predict(x)[0].argmax(1) == float_answers(x)[0].argmax(1))
    return np.concatenate(rows).astype(np.float64)[:, None]


def rounded(limit: float, ctx: Any, net: onnx.ModelProto | None = None) -> onnx.ModelProto:
    made = Int8(64, keep="auto", max_drop_points=limit).apply(net or outlier_net(), ctx)
    onnx.checker.check_model(made)
    return made


def test_the_guilty_layer_is_found_and_told_and_no_other_stays() -> None:
    judged: list[int] = []

    def rows(predict: Predict) -> np.ndarray:
        judged.append(1)
        return right(predict)

    made = rounded(6.0, asked(rows))
    assert float_layers(made) == {"body.bad"}
    told = left_in(made)
    assert list(told) == ["body.bad"]
    assert told["body.bad"].startswith("rounded alone it changes the answers by ")
    assert "on 400 validation samples" in told["body.bad"]
    # The float net, all rounded, and for each halving of five layers one.
    assert len(judged) <= 2 + 3


def test_what_is_found_is_within_the_limit_and_what_it_says() -> None:
    reference = right(Answers(outlier_net())).mean()
    whole = Int8(64).apply(outlier_net(), asked(right))
    lost = 100.0 * (reference - right(Answers(whole)).mean())
    made = rounded(6.0, asked(right))
    left = 100.0 * (reference - right(Answers(made)).mean())
    assert left <= 6.0 < lost
    (told,) = left_in(made).values()
    assert f"with all rounded it loses {lost:.3g} points, with this layer in float it" in told


def test_nothing_stays_if_the_loss_is_allowed() -> None:
    made = rounded(100.0, asked(right))
    assert float_layers(made) == set()
    assert left_in(made) == {}
    plain = Int8(64).apply(outlier_net(), asked(right))
    assert made.SerializeToString() == plain.SerializeToString()


def test_a_loss_of_exactly_what_is_allowed_is_allowed() -> None:
    """As floats, 0.921 - 0.919 is a little more than 0.002."""
    calls: list[int] = []

    def rows(predict: Predict) -> np.ndarray:
        calls.append(1)
        predict({"x": pictures(2)})
        return np.full((4, 1), 0.921 if len(calls) == 1 else 0.919)

    assert 100.0 * (0.921 - 0.919) > 0.2
    assert float_layers(rounded(0.2, asked(rows))) == set()


def test_more_stay_the_less_may_be_lost() -> None:
    little = 2e-3 * 4 ** (8 - weight_bits())  # a bit less is a step of twice the size
    kept = [float_layers(rounded(limit, context("openvino"))) for limit in (100.0, 1.0, little)]
    assert len(kept[0]) < len(kept[1]) < len(kept[2]) < len(LAYERS)


def test_if_no_layer_can_be_rounded_it_says_so() -> None:
    def hopeless(predict: Predict) -> np.ndarray:
        """All is right in float, and nothing as soon as any answer is another."""
        x = {"x": pictures(8)}
        same = np.array_equal(predict(x)[0], Answers(outlier_net())(x)[0])
        return np.full((8, 1), float(same))

    with pytest.raises(Unsupported) as error:
        rounded(1.0, asked(hopeless))
    assert re.fullmatch(
        r"int8: no layer can be rounded within max_drop_points = 1: with '[a-z.]+' alone it loses "
        r"100 points on 8 validation samples; allow more, or leave int8 away",
        str(error.value),
    )


def test_layers_limit_what_may_be_rounded_at_all() -> None:
    made = Int8(64, layers=("body", "head"), keep="auto", max_drop_points=6.0).apply(
        outlier_net(), asked(right)
    )
    assert float_layers(made) == {"first", "body.bad"}
    assert list(left_in(made)) == ["body.bad"]


def test_without_validation_samples_the_error_on_calibration_samples_decides() -> None:
    made = rounded(1.0, context("openvino"))
    assert float_layers(made) == {"body.bad"}
    (told,) = left_in(made).values()
    assert "as |a-b|^2 / |b|^2 on 32 calibration samples" in told
    assert "there are no validation samples here" in told
    assert "points" not in told


def test_layers_that_are_innocent_after_all_are_rounded() -> None:
    """A layer whose error alone is the largest, of which the metric sees nothing."""
    net = outlier_net()
    # A second output, of which nothing is judged, is made of much too coarse numbers.
    rng = np.random.default_rng(5)
    weights = rng.normal(size=(8, 3, 1, 1)).astype(np.float32)
    net.graph.initializer.append(onnx.numpy_helper.from_array(weights, "side.weight"))
    net.graph.initializer.append(
        onnx.numpy_helper.from_array(np.full((1, 8, 1, 1), 1e-3, np.float32), "tiny")
    )
    net.graph.node.extend(
        [
            helper.make_node("Conv", ["x", "side.weight"], ["side/out"], "side/Conv"),
            helper.make_node("Sub", ["side/out", "side/out"], ["side/zero"], "side/Sub"),
            helper.make_node("Add", ["side/zero", "tiny"], ["side/tiny"], "side/Add"),
        ]
    )
    net.graph.output.append(helper.make_tensor_value_info("side/out", 1, ["batch", 8, 4, 4]))

    def rows(predict: Predict) -> np.ndarray:
        return right(lambda x: predict(x)[:1])

    made = rounded(6.0, asked(rows), net)
    assert float_layers(made) == {"body.bad"}


def test_progress_counts_the_single_layers_and_at_most_so_many_whole_graphs() -> None:
    """Five layers, and of whole graphs the first, three for halving, and a dozen tried anew."""
    seen: list[tuple[int, int]] = []
    rounded(6.0, asked(right, progress=lambda done, total: seen.append((done, total))))
    search = [one for one in seen if one[1] != 64]
    assert search == [(done, 5 + 1 + 3 + 12) for done in range(1, len(search) + 1)]
    assert 5 + 1 < len(search) <= 5 + 1 + 3


def test_a_search_that_was_killed_goes_on_with_what_it_found(tmp_path: Path) -> None:
    def told(limit: float, **more: Any) -> tuple[set[str], int]:
        judged: list[int] = []

        def rows(predict: Predict) -> np.ndarray:
            judged.append(1)
            if len(judged) > more.get("most", 99):
                raise KeyboardInterrupt
            return right(predict)

        made = rounded(limit, asked(rows, checkpoint=tmp_path / "key"))
        return float_layers(made), len(judged)

    with pytest.raises(KeyboardInterrupt):
        told(6.0, most=3)
    (kept,) = tmp_path.iterdir()
    assert kept.name.startswith("key.")
    layers = float_layers(rounded(6.0, asked(right)))
    assert told(6.0) == (layers, 2)  # the float net, and the graph at which it was killed
    assert told(6.0) == (layers, 1)  # the float net alone
    kept.write_text("cut sh")
    assert told(6.0)[0] == layers


NUMBER = r"\d+(\.\d+)?(e-\d+)?"


def test_the_reason_in_points() -> None:
    (told,) = left_in(rounded(6.0, asked(right))).values()
    assert re.fullmatch(
        f"rounded alone it changes the answers by {NUMBER} %; with all rounded it loses {NUMBER} "
        f"points, with this layer in float it loses {NUMBER} points, on 400 validation samples",
        told,
    )


def test_the_reason_in_percent_and_for_several() -> None:
    told = left_in(rounded(5e-3, context("openvino")))
    assert len(told) > 1
    for why in told.values():
        assert re.fullmatch(
            f"rounded alone it changes the answers by {NUMBER} %; with all rounded the error is "
            f"{NUMBER} %, with these {len(told)} layers in float the error is {NUMBER} %, as "
            r"\|a-b\|\^2 / \|b\|\^2 on 32 calibration samples, because there are none for "
            r"validation \(there are no validation samples here\)",
            why,
        )


def scaled(factor: float, name: str = "y") -> onnx.ModelProto:
    """Return a graph that multiplies its input, and gives an output of integers too."""
    graph = helper.make_graph(
        [
            helper.make_node("Mul", ["x", "factor"], [name], "mul"),
            helper.make_node("Shape", ["x"], ["shape"], "shape"),
        ],
        "scaled",
        [helper.make_tensor_value_info("x", 1, ["batch", 3, 4, 4])],
        [
            helper.make_tensor_value_info(name, 1, None),
            helper.make_tensor_value_info("shape", 7, None),
        ],
        [onnx.numpy_helper.from_array(np.float32(factor), "factor")],
    )
    opset = [helper.make_opsetid("", 18)]
    return helper.make_model(graph, opset_imports=opset, ir_version=10)


def test_the_error_is_the_share_of_the_energy() -> None:
    errors = guilty._Errors(scaled(2.0), scaled(2.2), context("openvino"))
    assert errors.of(scaled(2.0)) == 0.0
    assert errors.of(scaled(2.2)) == pytest.approx(0.01, rel=1e-4)
    assert errors.percent(scaled(1.0)) == pytest.approx(25.0, rel=1e-4)
    assert errors.of(scaled(float("nan"))) == np.inf
    assert errors.batch == 32  # calibration comes in one batch of as many as are asked for


def test_what_is_infinite_by_design_is_left_out_and_what_is_zero_has_no_error() -> None:
    errors = guilty._Errors(scaled(np.inf), scaled(np.inf), context("openvino"))
    assert errors.of(scaled(1.0)) == 0.0
    zero = guilty._Errors(scaled(0.0), scaled(0.0), context("openvino"))
    assert zero.of(scaled(1.0)) == 0.0


def test_without_answers_that_could_be_compared_layers_must_be_named() -> None:
    with pytest.raises(Unsupported) as error:
        guilty._Errors(scaled(1.0), scaled(1.0, "z"), context("openvino", calibration=none))
    assert str(error.value) == (
        'int8: keep = "auto" compares answers, and this graph has none that could be, or no '
        "calibration samples; name the layers to keep"
    )


def none(samples: int) -> Iterator[Inputs]:
    yield from ()


def test_calls_are_no_larger_than_those_of_calibration() -> None:
    """As of a model that takes one sample at a time, whose calibration comes like that."""

    def singly(samples: int) -> Iterator[Inputs]:
        for index in range(samples):
            yield {"x": pictures(samples, seed=1)[index : index + 1]}

    errors = guilty._Errors(scaled(2.0), scaled(2.2), context("openvino", calibration=singly))
    assert errors.batch == 1
    assert errors.of(scaled(2.2)) == pytest.approx(0.01, rel=1e-4)  # of all calls together
    assert errors.words("why").startswith("as |a-b|^2 / |b|^2 on 32 calibration samples")


def test_a_hundred_layers_take_few_whole_trials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of 100 layers the 37th and the 80th are guilty; whole graphs are judged a dozen times."""
    search = object.__new__(guilty._Search)
    names = [f"l{number}" for number in range(100)]
    search.layers = [guilty.Layer(name, (name,), (name,)) for name in names]
    weight = dict.fromkeys(names, 0.001) | {"l37": 2.0, "l80": 1.0}
    judged: list[frozenset[str]] = []

    def judge(stays: Any) -> float:
        judged.append(frozenset(stays))
        return sum(weight[name] for name in names if name not in stays)

    monkeypatch.setattr(search, "losses", {}, raising=False)
    monkeypatch.setattr(search, "tried", Tried(tmp_path / "tried"), raising=False)
    monkeypatch.setattr(search, "told", guilty._in_points, raising=False)
    monkeypatch.setattr(search, "on", "on paper", raising=False)
    monkeypatch.setattr(search, "judge", judge, raising=False)
    monkeypatch.setattr(search, "_graph", lambda stays: {one.name for one in stays})
    monkeypatch.setattr(search, "_tell", lambda: None)
    # The order of single errors is not that of losses: another layer comes between.
    alone = dict.fromkeys(names, 0.01) | {"l37": 0.5, "l11": 0.4, "l80": 0.3}
    monkeypatch.setattr(search, "_alone", lambda layer: alone[layer.name])
    found = search.find(0.2)
    assert set(found.stays) == {"l37", "l80"}
    assert len(judged) <= 1 + 7 + 3


def test_the_least_guilty_by_its_error_alone_may_be_the_one_that_costs_most(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Then all must stay by halving, and those are tried to be rounded that cost little."""
    search = object.__new__(guilty._Search)
    search.layers = [guilty.Layer(name, (name,), (name,)) for name in "abc"]
    weight, alone = {"a": 0.1, "b": 0.1, "c": 2.0}, {"a": 0.3, "b": 0.2, "c": 0.1}
    monkeypatch.setattr(search, "losses", {}, raising=False)
    monkeypatch.setattr(search, "tried", Tried(tmp_path / "tried"), raising=False)
    monkeypatch.setattr(search, "told", guilty._in_points, raising=False)
    monkeypatch.setattr(search, "on", "on paper", raising=False)
    rounded: Any = lambda stays: sum(weight[name] for name in "abc" if name not in stays)  # noqa: E731
    monkeypatch.setattr(search, "judge", rounded, raising=False)
    monkeypatch.setattr(search, "_graph", lambda stays: {one.name for one in stays})
    monkeypatch.setattr(search, "_tell", lambda: None)
    monkeypatch.setattr(search, "_alone", lambda layer: alone[layer.name])
    assert search.find(0.2).stays == ("c",)


@pytest.mark.parametrize("needed", range(1, 9))
def test_as_few_layers_as_needed_are_found_by_halving(needed: int) -> None:
    search = object.__new__(guilty._Search)
    layers = [guilty.Layer(str(number), (), ()) for number in range(8)]
    asked_for: list[int] = []

    def loss(stays: Sequence[guilty.Layer]) -> float:
        asked_for.append(len(stays))
        return 1.0 if len(stays) >= needed else 2.0

    search._loss = loss  # type: ignore[method-assign]
    assert search._shortest(layers, 1.0) == layers[:needed]
    assert len(asked_for) <= 3


def test_the_least_guilty_is_tried_first_to_be_rounded_after_all() -> None:
    """One of three may be rounded, whichever: it is the last in the order."""
    search = object.__new__(guilty._Search)
    search._loss = lambda stays: 3.0 - len(stays)  # type: ignore[method-assign]
    layers = [guilty.Layer(name, (), ()) for name in "abc"]
    assert search._without_innocent(layers, 1.0) == layers[:2]
    assert search._without_innocent(layers[:1], 9.0) == layers[:1]  # one stays in any case


def test_whole_graphs_are_asked_in_calls_as_large_as_those_of_calibration(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes: list[int] = []

    class Seen(Answers):
        def __init__(self, model: onnx.ModelProto, most: int = 99) -> None:
            sizes.append(most)
            super().__init__(model, most)

    monkeypatch.setattr(guilty, "Answers", Seen)
    rounded(6.0, asked(right))
    assert len(sizes) > 2
    assert set(sizes) == {32}


@pytest.mark.parametrize(
    ("share", "text"), [(0.25, "25 %"), (0.012345, "1.23 %"), (np.inf, "more than all")]
)
def test_a_share_in_words(share: float, text: str) -> None:
    assert guilty._percent(share) == text


def test_a_metric_that_is_no_number_falls_back_to_the_error() -> None:
    nan = partial(context, "openvino", validation=right, metric=lambda rows: float("nan"))
    (told,) = left_in(rounded(1.0, nan())).values()
    assert "not a number" in told


def test_the_net_has_the_layers_that_it_says() -> None:
    assert float_layers(outlier_net()) == set(LAYERS)
