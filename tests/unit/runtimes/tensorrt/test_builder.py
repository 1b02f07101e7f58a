"""Engines that TensorRT for RTX builds here: types, pairs, and operators that it lacks."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from fake_tensorrt import fake_module
from onnx import TensorProto, helper, numpy_helper

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.errors import BuildError, SilentFallback, Unavailable, Unsupported
from perfsuite.runtimes.tensorrt import library, stored
from perfsuite.runtimes.tensorrt.built import NetworkLayer, read_built
from perfsuite.runtimes.tensorrt.library import driver_version, refusal
from perfsuite.runtimes.tensorrt.network import check_types
from perfsuite.runtimes.tensorrt.runtime import TensorRt, TensorRtRtx

F = TensorProto.FLOAT
FILE = Path("net.onnx")


@pytest.fixture(scope="module")
def rtx() -> TensorRtRtx:
    """Return the runtime; where its wheel is missing, the test is skipped with the reason."""
    runtime = TensorRtRtx()
    try:
        runtime.probe()
    except Unavailable as error:
        pytest.skip(str(error))
    return runtime


def value(name: str, shape: list[Any], kind: int = F) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def model_of(nodes: list[onnx.NodeProto], inputs: Any, outputs: Any, **constants: Any) -> Any:
    tensors = [numpy_helper.from_array(np.asarray(one), name) for name, one in constants.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    own = helper.make_opsetid("com.example", 1)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18), own], ir_version=10)


def rounded_net() -> onnx.ModelProto:
    """Return one convolution between Q/DQ pairs, and one that is none."""
    node = helper.make_node
    return model_of(
        [
            node("QuantizeLinear", ["x", "s", "z"], ["q"], "q"),
            node("DequantizeLinear", ["q", "s", "z"], ["xr"], "dq"),
            node("DequantizeLinear", ["w", "ws", "wz"], ["wr"], "weights", axis=0),
            node("Conv", ["xr", "wr", "b"], ["a"], "a/Conv"),
            node("Conv", ["a", "v"], ["y"], "b/Conv"),
        ],
        [value("x", ["batch", 8, 6, 6])],
        [value("y", ["batch", 8, 6, 6])],
        s=np.float32(0.1),
        z=np.int8(0),
        w=np.ones((8, 8, 1, 1), np.int8),
        ws=np.full(8, 1e-6, np.float32),  # fp16 does not hold it
        wz=np.zeros(8, np.int8),
        b=np.ones(8, np.float32),
        v=np.ones((8, 8, 1, 1), np.float32),
    )


def built(rtx: TensorRt, model: Any, folder: Path, precision: str, device: str) -> None:
    onnx.save(model, folder / FILE)
    spec = (InputSpec("x", "float32", ("batch", 8, 6, 6)),)
    outputs = tuple(one.name for one in model.graph.output)
    manifest = Manifest(rtx.name, device, precision, 1, spec, outputs, False, True)
    (folder / "out").mkdir()
    rtx.build(Variant(folder / FILE, None, quantized=True), manifest, folder / "out")


def test_an_engine_is_built_with_the_types_that_were_asked_for(
    rtx: TensorRtRtx, tmp_path: Path
) -> None:
    built(rtx, rounded_net(), tmp_path, "fp16", "sm_89")
    found = read_built(tmp_path / "out")
    assert dict(found.products) == {"int8": 1, "fp16": 1}
    assert (found.engine, found.capability) == ("TensorRT-RTX", "sm_89")
    assert [one["x"].most[0] for one in found.profiles] == [1, 64]
    assert [node.name for node in found.nodes][-2:] == ["a/Conv", "b/Conv"]
    assert (tmp_path / "out" / "model.engine").stat().st_size > 10_000
    manifest = Manifest("tensorrt-rtx", "sm_89", "fp16", 1, (), ("y",), False, True)
    with pytest.raises(Unavailable, match=r"built for sm_89 runs on such a card alone"):
        rtx.open(tmp_path / "out", manifest, SessionOptions(1, 1))
    told = {item.name: item.value for item in rtx.describe(tmp_path / "out").items}
    assert told["products, as parsed"] == "1 in fp16, 1 in int8"


@pytest.mark.parametrize(
    ("node", "told"),
    [
        (helper.make_node("NonZero", ["x"], ["i"], "nz"), "no operator NonZero, which net.onnx"),
        (
            helper.make_node("Frobnicate", ["x"], ["i"], "f", domain="com.example"),
            r"no operator com\.example\.Frobnicate, .* an operator of your own",
        ),
    ],
)
def test_an_operator_that_it_lacks_is_named(
    rtx: TensorRtRtx, tmp_path: Path, node: onnx.NodeProto, told: str
) -> None:
    cast = helper.make_node("Cast", ["i"], ["y"], "cast", to=F)
    outputs = [value("y", [None, None])]
    model = model_of([node, cast], [value("x", ["batch", 8, 6, 6])], outputs)
    with pytest.raises(Unsupported, match=told):
        built(rtx, model, tmp_path, "fp32", "sm_86")
    assert list((tmp_path / "out").iterdir()) == []


def test_what_it_does_not_take_in_16_bits_stays_in_float32(
    rtx: TensorRtRtx, tmp_path: Path
) -> None:
    net = rounded_net()
    net.graph.node.extend(
        [
            helper.make_node("Mish", ["y"], ["m"], "mish"),
            helper.make_node("ConvTranspose", ["m", "v"], ["t"], "up"),
        ]
    )
    net.graph.output[0].name = "t"
    built(rtx, net, tmp_path, "bf16", "sm_89")
    found = read_built(tmp_path / "out")
    assert found.in_float == ("ConvTranspose", "Mish")
    assert dict(found.products) == {"int8": 1, "bf16": 1, "fp32": 1}
    told = {item.name: item.value for item in rtx.describe(tmp_path / "out").items}
    assert told["operators in float32"] == "ConvTranspose, Mish"


@pytest.mark.parametrize(
    ("capability", "instead"),
    [("sm_90", "tensorrt"), ("sm_52", "pytorch")],  # the latter is a Titan X
)
def test_a_card_that_it_has_no_target_for_is_told(
    rtx: TensorRtRtx, capability: str, instead: str
) -> None:
    from perfsuite.runtimes.tensorrt.builder import Wanted, build

    wanted = Wanted("tensorrt-rtx", "fp32", capability, True, (), None)
    net = model_of(
        [helper.make_node("Relu", ["x"], ["y"], "r")], [value("x", [2])], [value("y", [2])]
    )
    told = rf"builds nothing for {capability}; it knows SM75.*take the runtime {instead} for"
    with pytest.raises(Unavailable, match=told):
        build(library.imported("tensorrt_rtx"), net, wanted, FILE)


def test_an_engine_that_makes_no_builder_is_told() -> None:
    """As TensorRT does with an old driver: its binding tells of a null pointer alone."""
    from perfsuite.runtimes.tensorrt.builder import Wanted, build

    trt = fake_module(None)

    def none(logger: Any) -> None:
        logger.log(trt.ILogger.Severity.ERROR, "CUDA initialization failure with error: 35")
        raise TypeError("pybind11::init(): factory function returned nullptr")

    trt.Builder = none
    net = model_of(
        [helper.make_node("Relu", ["x"], ["y"], "r")], [value("x", [2])], [value("y", [2])]
    )
    wanted = Wanted("tensorrt", "fp32", "sm_89", False, (), None)
    with pytest.raises(Unavailable, match="tensorrt: the driver is too old for it"):
        build(trt, net, wanted, FILE)


def test_what_an_engine_says_is_heard_beside_another_that_lives(rtx: TensorRtRtx) -> None:
    """The library minds one logger at a time; the stages of a model are open at once."""
    trt = library.imported("tensorrt_rtx")
    one = library.Messages(trt)
    first = trt.Builder(one.logger)
    trt.Runtime(one.logger).deserialize_cuda_engine(b"no engine" * 100)
    assert "Serialization" in one.errors
    other = library.Messages(trt)
    second = trt.Builder(other.logger)
    assert other.errors == "", "neither that the logger is another, nor what the first has said"
    trt.Runtime(other.logger).deserialize_cuda_engine(b"no engine" * 100)
    assert "Serialization" in other.errors
    del first, second


def test_values_that_decide_shapes_are_told(rtx: TensorRtRtx, tmp_path: Path) -> None:
    from perfsuite.runtimes.tensorrt.builder import Wanted, build

    net = model_of(
        [helper.make_node("Reshape", ["x", "shape"], ["y"], "r")],
        [value("x", [8]), value("shape", [2], TensorProto.INT64)],
        [value("y", [None, None])],
    )
    wanted = Wanted("tensorrt-rtx", "fp32", "sm_89", True, (), None)
    with pytest.raises(Unsupported, match="the values of input 'shape' decide shapes"):
        build(library.imported("tensorrt_rtx"), net, wanted, FILE)


def layers(**products: int) -> list[NetworkLayer]:
    return [
        NetworkLayer(f"{kind}{index}", "CONVOLUTION", kind, True)
        for kind, times in products.items()
        for index in range(times)
    ]


@pytest.mark.parametrize(
    ("found", "precision", "told"),
    [
        ({"fp16": 1, "int8": 1}, "fp16", ""),
        ({"fp32": 1, "int8": 1}, "tf32", ""),
        ({"fp16": 2}, "fp16", "1 layers of the graph are between Q/DQ pairs.* 0 are"),
        ({"int8": 2}, "fp32", "2 are"),
        ({"fp16": 1, "int8": 1}, "fp32", "fp32 was asked for, and its parser made layers"),
        ({"bf16": 1, "int8": 1}, "fp16", "fp16 was asked for"),
    ],
)
def test_what_the_parser_has_lost_is_a_silent_fallback(
    found: dict[str, int], precision: str, told: str
) -> None:
    if not told:
        check_types(layers(**found), precision, rounded_net(), "engine")
        return
    with pytest.raises(SilentFallback, match=told):
        check_types(layers(**found), precision, rounded_net(), "engine")


def test_floats_where_fp16_was_asked_for_are_a_silent_fallback() -> None:
    plain = rounded_net()
    del plain.graph.node[:4]
    with pytest.raises(SilentFallback, match="fp16 was asked for"):
        check_types(layers(fp32=1), "fp16", plain, "engine")


def test_a_net_whose_products_the_engine_has_in_float32_alone_is_told() -> None:
    plain = rounded_net()
    del plain.graph.node[:4]
    with pytest.raises(Unsupported, match="engine computes ConvTranspose in float32 alone"):
        check_types(layers(fp32=1), "bf16", plain, "engine", ["ConvTranspose"])


def test_a_convolution_over_time_is_int8_though_it_gets_another_axis(
    rtx: TensorRtRtx, tmp_path: Path
) -> None:
    node = helper.make_node
    net = model_of(
        [
            node("QuantizeLinear", ["x", "s", "z"], ["q"], "q"),
            node("DequantizeLinear", ["q", "s", "z"], ["xr"], "dq"),
            node("Reshape", ["xr", "shape"], ["flat"], "flat"),
            node("QuantizeLinear", ["flat", "s", "z"], ["fq"], "fq"),
            node("DequantizeLinear", ["fq", "s", "z"], ["fr"], "fdq"),
            node("DequantizeLinear", ["w", "ws", "wz"], ["wr"], "weights", axis=0),
            node("Conv", ["fr", "wr"], ["y"], "conv"),
        ],
        [value("x", ["batch", 8, 6, 6])],
        [value("y", ["batch", 8, 36])],
        s=np.float32(0.1),
        z=np.int8(0),
        shape=np.int64([0, 8, 36]),
        w=np.ones((8, 8, 1), np.int8),
        ws=np.full(8, 0.1, np.float32),
        wz=np.zeros(8, np.int8),
    )
    built(rtx, net, tmp_path, "fp16", "sm_89")
    assert dict(read_built(tmp_path / "out").products) == {"int8": 1}


@pytest.mark.parametrize(
    ("said", "kind", "told"),
    [
        ("nms_0 has no runners that implement it", Unsupported, "no operator NonMaxSuppression"),
        ("Could not find any implementation for node {x + y}.", BuildError, "cannot build"),
        ("Requested amount of GPU memory could not be allocated: out of memory", BuildError,
         "too little memory to build"),
        ("API Usage Error (Target GPU SM 61 is not supported by this TensorRT release.)",
         Unavailable, "no kernels for the card .* older take pytorch"),
        ("Error Code 1: Internal Error (Unsupported SM: 0x601)", Unavailable, "no kernels for the"),
        ("", BuildError, "it does not say why"),
    ],
)  # fmt: skip
def test_what_a_builder_says_becomes_an_error(said: str, kind: type[Exception], told: str) -> None:
    found = refusal("engine", said, FILE, {"nms": "NonMaxSuppression"})
    assert isinstance(found, kind) and re.search(told, str(found))


def test_the_driver_says_its_version(tmp_path: Path) -> None:
    file = tmp_path / "version"
    assert driver_version(file) == ""
    file.write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.95.05  Tue Sep 23\nGCC\n")
    assert driver_version(file) == "580.95.05"
    file.write_text(
        "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.15  Release Build\n"
    )
    assert driver_version(file) == "570.86.15"


def test_what_was_learnt_is_kept_by_card_driver_and_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path))
    one = stored.place("times", "tensorrt", "10.9", "sm_89", "RTX 4090", "580.95")
    other = stored.place("times", "tensorrt", "10.9", "sm_89", "RTX 4090", "570.86")
    assert one != other
    assert stored.read(one) == b""
    stored.write(one, b"learnt")
    assert (stored.read(one), stored.read(other)) == (b"learnt", b"")
    stored.write(one, b"")
    assert stored.read(one) == b"learnt"


def test_it_says_what_it_needs_where_it_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perfsuite.runtimes.shared.base.find_spec", lambda name: None)
    for runtime in (TensorRt(), TensorRtRtx()):
        with pytest.raises(Unavailable, match=rf"pip install 'perfsuite\[{runtime.name}\]'"):
            runtime.probe()


def test_devices_that_are_only_built_for_are_kinds_of_cards() -> None:
    runtime = TensorRtRtx()
    identity = runtime.identify("sm_89")
    assert (identity.kind, identity.features) == ("sm_89", ("sm_89",))
    assert set(runtime.builds_for) < set(runtime.devices)
    assert TensorRt.builds_for == ()


def test_tf32_is_not_built_for_cards_without_it() -> None:
    TensorRtRtx().require("sm_86", "tf32")
    with pytest.raises(Unavailable, match="TF32 needs a card with sm_80"):
        TensorRtRtx().require("sm_75", "tf32")


def test_a_cuda_that_the_package_was_made_for_is_read_from_its_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    here = SimpleNamespace(names={"tensorrt-cu13"})
    monkeypatch.setattr(
        "perfsuite.runtimes.tensorrt.runtime.installed", lambda name: name in here.names
    )
    assert TensorRt()._cuda() == (13, 0)
    here.names = {"tensorrt"}
    assert TensorRt()._cuda() == (12, 0)
