"""Whole nets answer as on ONNX Runtime by the operator's function, with all fused that can be."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import onnx
import pytest
from binary_graphs import SAME, Chain, residual, vgg
from binary_sessions import answers, expected, opened, pictures

from perfsuite.errors import Unsupported
from perfsuite.export.binary_operator import ConvGeometry
from perfsuite.runtimes.binary.cut import cut
from perfsuite.runtimes.binary.plan import Rest, Steps


def check(model: Any, batch: int = 2, threads: int = 2) -> None:
    x = pictures(model, batch)
    found, wanted = answers(model, x, threads), expected(model, x)
    assert found.shape == wanted.shape
    assert np.abs(wanted).max() > 0.01
    assert np.abs(found - wanted).max() <= 1e-4 * np.abs(wanted).max()


def steps_of(model: Any) -> list[tuple[str, tuple[str, ...]]]:
    """Return kind and operations of each step; fail if there is more than one segment."""
    (segment,) = cut(model).plan.segments
    assert isinstance(segment, Steps)
    return [(step.kind, tuple(op.kind for op in step.ops)) for step in segment.steps]


def test_a_vgg_is_one_segment_and_its_signs_are_taken_where_values_are_made() -> None:
    model = vgg((16, 70, "M", 128), side=8)
    assert steps_of(model) == [
        ("real", ("relu", "bits")),
        ("binary", ("relu", "store")),
        ("max", ("bits",)),
        ("binary", ("relu", "store")),
        ("mean", ("store",)),
        ("real", ("store",)),
    ]
    check(model)


def test_a_residual_net_is_one_segment_with_its_shortcuts_fused() -> None:
    model = residual((16, 32), 1, side=8)
    found = steps_of(model)
    assert found[1] == ("binary", ("add", "prelu", "bits", "store"))
    assert [kind for kind, _ in found].count("copy") == 2, "the halves of the one wider shortcut"
    others = {(kind, ops) for kind, ops in found if kind != "binary"}
    assert {kind for kind, _ in others} == {"real", "mean", "copy"}
    assert all("add" not in ops for _, ops in others), "binary convolutions add shortcuts"
    check(model)


def between(change: Callable[[Chain], None]) -> Any:
    """Return a net with `change` between two binary convolutions of 24 channels."""
    net = Chain((24, 8, 8))
    net.binary(24, SAME)
    net.norm()
    change(net)
    net.binary(24, SAME)
    return net.head(5)


CHANGES: dict[str, Callable[[Chain], Any]] = {
    "leaky": lambda n: n.node("LeakyRelu", n.here, alpha=0.2),
    "scaled": lambda n: n.node("Mul", n.here, n.numbers(-2, 2, (1, 24, 1, 1))),
    "divided": lambda n: n.node("Div", n.here, n.numbers(1, 2, (1,))),
    "turned": lambda n: n.node("Sub", n.numbers(-1, 1, (24, 1, 1)), n.here),
    "clipped": lambda n: n.node("Clip", n.here, n.numbers(-0.5, -0.4, ()), n.numbers(0.4, 1, ())),
    "rprelu": lambda n: n.rprelu(),
    "overlapping": lambda n: n.pool("MaxPool", 3, strides=(2, 2), pads=(1, 1, 1, 1)),
    "mean": lambda n: n.pool("AveragePool", 3, strides=(2, 1), pads=(1, 0, 1, 2)),
    "mean of padding": lambda n: n.pool(
        "AveragePool", 3, strides=(2, 1), pads=(1, 0, 1, 2), count_include_pad=1
    ),
    "nothing to round up": lambda n: n.pool("AveragePool", ceil_mode=1),
    "rounded up": lambda n: n.pool("MaxPool", 3, strides=(2, 2), ceil_mode=1),
    "real": lambda n: n.convolution(24, ConvGeometry((3, 3), (2, 1), (1, 2, 0, 1)), bias=True),
    "grouped": lambda n: n.convolution(24, ConvGeometry((3, 3), pads=(1, 1, 1, 1), group=4)),
    "of groups": lambda n: n.binary(24, ConvGeometry((3, 3), pads=(1, 1, 1, 1), group=2)),
    "shortcut": lambda n: n.node("Add", n.here, n.nodes[0].output[0]),
    "twice": lambda n: n.node("Add", n.here, n.here),
    "doubled": lambda n: (
        n.node("Concat", n.here, n.nodes[0].output[0], axis=1),
        setattr(n, "channels", 48),
    ),
    "wide": lambda n: n.binary(24, ConvGeometry((1, 33), pads=(0, 16, 0, 16))),
    "sigmoid": lambda n: n.node("Sigmoid", n.here),
    "gated": lambda n: n.node("Mul", n.here, n.node("Sigmoid", n.here)),
}
AT_ONNX_RUNTIME = {"rounded up", "grouped", "wide", "sigmoid", "gated"}


@pytest.mark.parametrize("change", CHANGES)
def test_what_lies_between_is_fused_or_left_to_onnx_runtime(change: str) -> None:
    model = between(CHANGES[change])
    rest = [part for part in cut(model).plan.segments if isinstance(part, Rest)]
    assert bool(rest) == (change in AT_ONNX_RUNTIME)
    check(model)


def repeated(change: Callable[[Chain, str, str], Any]) -> Any:
    """Return a net of 128 channels with `change`, given a value of 64 channels and it twice."""
    net = Chain((64, 6, 6))
    net.rprelu()
    narrow = net.here
    wide = net.node("Concat", narrow, narrow, axis=1)
    net.here, net.channels = narrow, 64
    net.binary(128, SAME)
    change(net, narrow, wide)
    net.channels = 128
    net.binary(70, SAME)
    return net.head(5)


def relu_of_a_sum(net: Chain, wide: str) -> None:
    net.node("Add", wide, net.here)
    net.rprelu()
    net.binary(128, SAME)
    net.node("Add", net.here, wide)


REPEATS: dict[str, tuple[Callable[[Chain, str, str], Any], bool]] = {
    "added": (lambda n, _, wide: n.node("Add", n.here, wide), False),
    "added first": (lambda n, _, wide: n.node("Add", wide, n.here), False),
    "added twice": (lambda n, _, wide: relu_of_a_sum(n, wide), False),
    "to itself": (lambda n, _, wide: n.node("Add", n.node("Add", wide, wide), n.here), True),
    "also bent": (lambda n, _, wide: n.node("Add", n.node("Relu", wide), wide), True),
}


@pytest.mark.parametrize("use", REPEATS)
def test_a_value_joined_with_itself_is_read_repeatedly_by_sums(use: str) -> None:
    change, stored = REPEATS[use]
    model = repeated(change)
    copies = [ops for kind, ops in steps_of(model) if kind == "copy" and "prelu" not in ops]
    assert bool(copies) == stored
    check(model)


def test_threads_share_rows_or_channels_and_answer_alike() -> None:
    model = vgg((64, 128, "M", 256, "M", 512), side=12)
    x = pictures(model, 2)
    one, *others = (answers(model, x, threads) for threads in (1, 2, 3, 5))
    assert np.abs(one - expected(model, x)).max() <= 1e-4 * np.abs(one).max()
    assert all(np.array_equal(one, other) for other in others)


def test_a_product_reads_a_picture_that_is_flattened_for_it() -> None:
    net = Chain((8, 4, 6))
    net.binary(20, SAME)
    net.node("Flatten", net.here)
    net.node("MatMul", net.here, net.numbers(-0.2, 0.2, (480, 7)))
    net.channels = 7
    net.node("Relu", net.here)
    net.node("Gemm", net.here, net.numbers(-1, 1, (7, 3)), net.numbers(-1, 1, (3,)), alpha=0.5)
    model = net.model(2)
    assert [kind for kind, _ in steps_of(model)] == ["copy", "binary", "real", "real"]
    check(model, batch=3)


def test_a_picture_that_is_flattened_for_others_goes_to_onnx_runtime() -> None:
    net = Chain((8, 4, 6))
    net.binary(20, SAME)
    net.node("Flatten", net.here)
    net.node("Softmax", net.here, axis=1)
    check(net.model(2))


def test_an_output_in_the_middle_and_one_that_is_a_view_are_given() -> None:
    net = Chain((8, 4, 4))
    net.binary(20, SAME)
    middle = net.here
    net.node("Relu", net.here)
    model = net.model()
    value = onnx.helper.make_tensor_value_info(middle, onnx.TensorProto.FLOAT, ["batch", 20, 4, 4])
    model.graph.output.append(value)
    x = pictures(model, 2)
    with opened(model, 2) as session:
        last, first = session.run({"x": x})
    assert np.array_equal(last, expected(model, x))
    assert np.array_equal(last, np.maximum(first, 0)) and first.min() < 0


def test_calls_from_several_threads_do_not_mix() -> None:
    model = between(lambda net: net.rprelu())
    given = [pictures(model, 1, seed) for seed in range(8)]
    with opened(model, threads=2) as session:
        alone = [session.run({"x": x})[0] for x in given]
        with ThreadPoolExecutor(4) as pool:
            for _ in range(20):
                found = list(pool.map(lambda x: session.run({"x": x})[0], given))
                assert all(np.array_equal(a, b) for a, b in zip(alone, found, strict=True))


def test_an_output_that_is_a_constant_is_unsupported() -> None:
    model = between(lambda net: net.rprelu())
    kind = onnx.TensorProto.FLOAT
    name, sides = next((w.name, w.dims) for w in model.graph.initializer if w.data_type == kind)
    value = onnx.helper.make_tensor_value_info(name, kind, list(sides))
    model.graph.output.append(value)
    with pytest.raises(Unsupported, match=f"output '{name}' is a constant"):
        cut(model)


def test_inputs_of_other_sizes_get_programs_of_their_own() -> None:
    model = between(lambda net: net.rprelu())
    with opened(model, 0) as session:
        for batch in (1, 3, 1):
            x = pictures(model, batch, batch)
            found = session.run({"x": x})[0]
            assert np.abs(found - expected(model, x)).max() <= 1e-4
