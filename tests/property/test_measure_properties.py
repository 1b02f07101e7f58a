"""What holds for any latencies, rows and matrices."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.suite import Measure
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.measure.accuracy import accuracy, resamplings
from perfsuite.measure.latency import is_steady, time_calls
from perfsuite.measure.macs import count_graph, count_module

QUIET = settings(deadline=None)  # timing never decides a test
FEW = settings(max_examples=25, deadline=None)

durations_ns = st.lists(st.integers(1_000_000, 400_000_000), min_size=1, max_size=30)


class Looped:
    """A session whose calls take the given times, over and over, by its own clock."""

    def __init__(self, durations: list[int]) -> None:
        self.durations, self.calls, self.now = durations, 0, 0

    def clock(self) -> int:
        return self.now

    def run(self, inputs: Inputs) -> Outputs:
        self.now += self.durations[self.calls % len(self.durations)]
        self.calls += 1
        return []


@QUIET
@given(durations_ns, st.integers(1, 20), st.floats(0, 2), st.floats(0, 2))
def test_every_call_is_accounted_for(
    durations: list[int], calls: int, seconds: float, warmup: float
) -> None:
    session = Looped(durations)
    asked = Measure(calls=calls, seconds=seconds, warmup_seconds=warmup)
    with patch("gc.collect"):  # slow where torch is loaded, and not what this is about
        got = time_calls(session, [{}], asked, clock=session.clock)  # type: ignore[arg-type]
    assert got.warmup_calls + len(got.samples_s) == session.calls
    assert len(got.samples_s) >= calls
    assert sum(got.samples_s) >= round(seconds * 1e9) / 1e9 - 1e-9
    without_last = sum(got.samples_s[:-1])
    assert len(got.samples_s) == calls or without_last < seconds + 1e-9
    script = [durations[i % len(durations)] / 1e9 for i in range(session.calls)]
    assert got.first_call_s == script[0]
    assert list(got.samples_s) == script[got.warmup_calls :]


@QUIET
@given(st.lists(st.integers(1, 10**6), max_size=12), st.integers(-10, 10))
def test_steadiness_has_no_unit(medians: list[int], exponent: int) -> None:
    scaled = [median * 2.0**exponent for median in medians]
    assert is_steady(scaled) == is_steady([float(median) for median in medians])


@QUIET
@given(st.integers(1, 500), st.integers(0, 5))
def test_resamplings_are_rows_and_the_same_again(rows: int, count: int) -> None:
    once = list(resamplings(rows, count))
    assert len(once) == count
    for chosen, again in zip(once, resamplings(rows, count), strict=True):
        assert chosen.shape == (rows,)
        assert chosen.min() >= 0
        assert chosen.max() < rows
        assert np.array_equal(chosen, again)


@FEW
@given(st.lists(st.floats(0, 1), min_size=2, max_size=50))
def test_replicates_of_a_mean_lie_among_the_rows(values: list[float]) -> None:
    rows = np.array(values)[:, None]
    got = accuracy("m", lambda r: float(r.mean()), rows, digest="d", replicates=20)
    assert min(values) - 1e-6 <= min(got.replicates)
    assert max(got.replicates) <= max(values) + 1e-6


@FEW
@given(st.integers(1, 5), st.integers(1, 5), st.integers(1, 5), st.integers(1, 5))
def test_a_product_of_matrices(batch: int, m: int, k: int, n: int) -> None:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["y"])],
        "product",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, [batch, m, k])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones((k, n), np.float32), "b")],
    )
    got = count_graph(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]))
    assert (got.macs, got.parameters) == (batch * m * k * n, k * n)


@FEW
@given(st.data())
def test_a_chain_counts_as_its_module_and_by_hand(data: st.DataObject) -> None:
    """Convolutions, then linear layers as Gemm or MatMul; the sides of the picture stay open."""
    from torch import nn

    number, side = st.integers(1, 4), st.integers(5, 9)
    batch, height, width = data.draw(number), data.draw(side), data.draw(side)
    channels, expected = data.draw(number), 0
    x = np.ones((batch, channels, height, width), np.float32)
    nodes, weights, parts, last = [], [], [], "x"
    for index in range(data.draw(st.integers(1, 3))):
        groups = data.draw(st.sampled_from([one for one in (1, 2, 4) if channels % one == 0]))
        wider, kernel = groups * data.draw(number), data.draw(st.sampled_from([1, 3]))
        stride = data.draw(st.integers(1, 2))
        name, weight = f"c{index}", np.ones((wider, channels // groups, kernel, kernel), np.float32)
        pads = [kernel // 2] * 4
        sides = {"pads": pads, "strides": [stride] * 2, "group": groups}
        nodes.append(helper.make_node("Conv", [last, f"w{index}"], [name], **sides))
        parts.append(nn.Conv2d(channels, wider, kernel, stride, kernel // 2, 1, groups, bias=False))
        weights.append(numpy_helper.from_array(weight, f"w{index}"))
        height, width = (height - 1) // stride + 1, (width - 1) // stride + 1
        expected += batch * wider * height * width * weight[0].size
        channels, last = wider, name
    nodes += [
        helper.make_node("GlobalAveragePool", [last], ["p"]),
        helper.make_node("Flatten", ["p"], ["f"]),
    ]
    parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    features = data.draw(number)
    kind = data.draw(st.sampled_from(["Gemm", "MatMul"]))
    nodes.append(helper.make_node(kind, ["f", "v"], ["y"]))
    parts.append(nn.Linear(channels, features, bias=False))
    weights.append(numpy_helper.from_array(np.ones((channels, features), np.float32), "v"))
    expected += batch * channels * features
    graph = helper.make_graph(
        nodes,
        "chain",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", x.shape[1], "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        weights,
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    counted, module = count_graph(made, {"x": x}), count_module(nn.Sequential(*parts), {"x": x})
    assert counted.macs == module.macs == expected
    assert counted.parameters == module.parameters
