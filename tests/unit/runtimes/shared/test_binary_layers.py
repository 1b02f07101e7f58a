"""What is said where binary convolutions were computed in float."""

from __future__ import annotations

import pytest

from perfsuite.domain.finding import LayerKernel
from perfsuite.domain.profile import Node
from perfsuite.domain.record import Evidence
from perfsuite.errors import SilentFallback
from perfsuite.runtimes.shared.binary_layers import in_float


def node(path: str, kind: str = "perfsuite::BinaryConv") -> Node:
    return Node(f"{path}/node", kind, path, (), ())


def evidence(*layers: tuple[str, str], **kernels: int) -> Evidence:
    told = tuple(LayerKernel(name, "Conv", "", precision=kind) for name, kind in layers)
    return Evidence((), {name.replace("_", " "): count for name, count in kernels.items()}, told)


A, B, REAL = node("a"), node("b"), node("c", "Conv")


def test_nothing_is_said_where_all_ran_on_bits_by_whatever_name() -> None:
    ran = [("a/node", "binary"), ("b", "binary"), ("c/node", "fp32")]
    assert in_float(evidence(*ran), [A, B, REAL], "engine") is None
    assert in_float(evidence(("1", "binary"), ("2", "binary")), [A, B], "engine") is None
    assert in_float(evidence(Conv_binary=2), [A, B], "engine") is None
    assert in_float(evidence(("a/node", "fp32")), [REAL], "engine") is None


def test_a_layer_that_ran_in_float_is_named() -> None:
    # The groups of one layer are no other layers.
    ran = [("a/node", "binary"), ("a/node", "binary"), ("b/node", "fp32")]
    found = in_float(evidence(*ran), [A, B], "engine")
    assert found is not None
    assert (found.name, found.about, found.severity) == ("binary-in-float", "engine", "caution")
    assert "1 of 2 binary convolutions" in found.message
    assert found.message.endswith("only simulated: b/node")


@pytest.mark.parametrize(
    "told", [evidence(("1", "binary"), ("2", "fp32")), evidence(Conv_binary=1, Conv_fp32=1)]
)
def test_of_an_engine_that_names_none_they_are_counted(told: Evidence) -> None:
    found = in_float(told, [A, B], "engine")
    assert found is not None and "1 of 2 binary convolutions" in found.message
    assert found.message.endswith("only simulated")


def test_none_on_bits_is_a_silent_fallback() -> None:
    with pytest.raises(SilentFallback, match="no binary kernel ran: a/node, b/node computed"):
        in_float(evidence(("a/node", "fp32"), ("b/node", "fp32")), [A, B], "engine")
    seven = [node(str(place)) for place in range(7)]
    with pytest.raises(SilentFallback, match="4/node and 2 more"):
        in_float(evidence(), seven, "engine")
    with pytest.raises(SilentFallback, match="no binary kernel ran"):  # a model in pieces
        in_float(evidence(Conv_fp32=1), [node("a", "PackedConv2d")], "engine")
