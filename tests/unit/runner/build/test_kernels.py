"""Binary convolutions on engines with kernels for them, and on engines without."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import onnx
import pytest
from binary_graphs import single_layer

from perfsuite.domain.record import BINARY_MACS, SIMULATED
from perfsuite.errors import ConfigError
from perfsuite.export.binary_operator import ConvGeometry
from perfsuite.export.own_precision import OwnPrecisions, own_precisions
from perfsuite.measure.macs import count_graph
from perfsuite.passes.binarize import Binarize
from perfsuite.runner.build.kernels import calls_binary, expanded, has_binary, labels, needed
from perfsuite.runtimes.onnxruntime.runtime import OnnxRuntime
from perfsuite.runtimes.openvino.runtime import OpenVino
from perfsuite.store.cache import Cache

GEOMETRY = ConvGeometry((3, 3), pads=(1, 1, 1, 1))


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    onnx.save(single_layer(40, 16, (8, 8), GEOMETRY)[0], path)
    return path


def test_who_needs_kernels_and_who_has_them() -> None:
    odd: Any = type("Odd", (), {"name": "odd", "kernels": "binary"})()
    assert needed([Binarize()]) == {"binary"}
    assert needed([object()]) == set()
    assert has_binary(OpenVino())
    assert not has_binary(OnnxRuntime())
    with pytest.raises(ConfigError, match="odd: its kernels"):
        has_binary(odd)


def test_what_is_told_of_a_cell() -> None:
    assert labels(True, True) == (SIMULATED,)
    assert labels(True, False) == (BINARY_MACS,)
    assert labels(False, False) == ()


def test_64_products_of_bits_are_one_mac_and_every_bit_is_a_parameter(graph: Path) -> None:
    counted = count_graph(graph)
    products = 16 * 40 * 9 * 64  # filters, channels, taps, places
    assert counted.macs == products // 64
    assert counted.parameters == 16 * 40 * 9 + 40  # and a threshold for each channel
    assert not counted.uncounted


def test_in_plain_operators_every_product_is_a_mac(graph: Path, tmp_path: Path) -> None:
    assert calls_binary(graph)
    path, key = expanded(graph, "a key", Cache(tmp_path / "cache"))
    assert key != "a key"
    assert count_graph(path).macs == 16 * 40 * 9 * 64
    assert not onnx.load(path).functions


def test_signs_are_a_precision_of_the_graph_that_nobody_calls_already_there(graph: Path) -> None:
    own = own_precisions(onnx.load(graph))
    assert own == OwnPrecisions(("binary",), ())
    assert own.labels == ()
