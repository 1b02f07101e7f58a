"""Binary convolutions on OpenVINO: exact, on bits, and shipped as bits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from binary_graphs import convolution_tensors, model_of, single_layer

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.export.binary_operator import ConvGeometry, binary_conv, binary_conv_node
from perfsuite.runtimes.openvino.binary import below
from perfsuite.runtimes.openvino.runtime import OpenVino, OpenVinoSession

pytest.importorskip("openvino")

CASES = [
    (64, 128, (8, 8), ConvGeometry((3, 3), (1, 1), (1, 1, 1, 1))),
    (7, 5, (5, 6), ConvGeometry((1, 1))),
    (40, 24, (7, 9), ConvGeometry((3, 3), (2, 2), (1, 1, 1, 1))),
    (33, 17, (9, 8), ConvGeometry((3, 2), (2, 1), (1, 0, 2, 1), (1, 2))),
    (32, 20, (6, 6), ConvGeometry((3, 3), (1, 1), (1, 1, 1, 1), group=4)),
]


def _opened(
    model: onnx.ModelProto, side: tuple[int, ...], folder: Path, batch: int
) -> OpenVinoSession:
    onnx.save(model, folder / "net.onnx")
    spec = (InputSpec("x", "float32", ("batch", *side)),)
    manifest = Manifest("openvino", "cpu", "fp32", batch, spec, ("y",), True, False)
    runtime = OpenVino()
    runtime.build(Variant(folder / "net.onnx", None, False), manifest, folder)
    return runtime.open(folder, manifest, SessionOptions(batch, 1, inspect=True))


@pytest.mark.parametrize(("channels", "filters", "side", "geometry"), CASES)
def test_it_answers_exactly_as_the_reference_by_its_kernel_for_bits(
    channels: int, filters: int, side: tuple[int, int], geometry: ConvGeometry, tmp_path: Path
) -> None:
    model, tensors = single_layer(channels, filters, side, geometry)
    x = np.random.default_rng(1).normal(size=(2, channels, *side)).astype(np.float32)
    x[:, :, 0] = tensors["conv.threshold"][:, None]  # at the threshold it is +1
    with _opened(model, (channels, *side), tmp_path, 2) as session:
        assert np.array_equal(session.run({"x": x})[0], binary_conv(x, *tensors.values(), geometry))
        evidence = session.evidence()
    kind = "BinaryConvolution" if channels // geometry.group % 8 == 0 else "Convolution"
    # Not by `kernels`, which leaves out what takes less than a microsecond.
    told = {(one.layer, one.operator) for one in evidence.layers}
    assert (told, len(evidence.layers)) == ({("conv", kind)}, geometry.group)


def test_a_profile_tells_the_signs_beside_the_convolution_that_reads_them(tmp_path: Path) -> None:
    geometry = ConvGeometry((3, 3), pads=(1, 1, 1, 1))
    tensors = {
        **convolution_tensors("a", 64, 64, geometry),
        **convolution_tensors("b", 64, 64, geometry),
    }
    names = list(tensors)
    nodes = [
        binary_conv_node(["x", *names[:3]], "h", "a", 64, geometry),
        binary_conv_node(["h", *names[3:]], "y", "b", 64, geometry),
    ]
    x = np.zeros((1, 64, 8, 8), np.float32)
    with _opened(model_of(nodes, tensors, ("x", (64, 8, 8)), "y"), (64, 8, 8), tmp_path, 1) as made:
        kernels = made.profile([{"x": x}], 2).kernels
    told = [(one.kind, one.origins, one.neighbours) for one in kernels if one.kind != "Reorder"]
    assert told == [
        ("FakeQuantize", (), ("a",)),
        ("BinaryConvolution", ("a",), ()),  # which makes the signs of the second, too
        ("BinaryConvolution", ("b",), ()),
    ]


def test_what_is_stored_are_bits(tmp_path: Path) -> None:
    geometry = ConvGeometry((3, 3), pads=(1, 1, 1, 1))
    model, _ = single_layer(256, 256, (4, 4), geometry)
    _opened(model, (256, 4, 4), tmp_path, 1)
    bits = 256 * 256 * 9 // 8
    assert bits < (tmp_path / "model.bin").stat().st_size < 1.1 * bits


def test_limits_are_exceeded_by_what_is_at_least_the_threshold_and_are_no_denormals() -> None:
    tiny = np.finfo(np.float32).tiny
    thresholds = np.float32([0.5, 0.0, -0.0, -2.0, tiny, -tiny])
    limits = below(thresholds)
    assert not ((limits != 0) & (np.abs(limits) < tiny)).any()
    near = [np.nextafter(thresholds, np.float32(end)) for end in (-1e9, 1e9)]
    for x in (thresholds, *near, np.float32([0, 1, -1, tiny, -tiny, 0])):
        proper = np.where(np.abs(x) < tiny, np.float32(0), x)  # as a processor may take denormals
        assert np.array_equal(proper > limits, proper >= thresholds)
