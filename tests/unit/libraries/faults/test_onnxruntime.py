"""Nodes on another provider than the one that was asked for."""

from __future__ import annotations

from made_up_facts import found, item, layer

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
BOTH = item("provider", "offered", f"{CUDA}, {CPU}")
LAYERS = (layer("a", "Conv", "Conv", CUDA), layer("b", "Conv", "Conv", CPU))


def test_the_processor_alone_is_sound() -> None:
    items = (item("provider", "offered", CPU), item("provider", CPU, "12 nodes"))
    layers = (layer("conv", "Conv", "Conv", "MLAS"),)
    assert found(*items, runtime="onnxruntime", layers=layers) == {}


def test_layers_elsewhere_are_counted_and_named() -> None:
    items = (BOTH, item("provider", CUDA, "9 nodes"), item("provider", CPU, "3 nodes"))
    given = found(*items, runtime="onnxruntime", device="cuda", layers=LAYERS)
    one = given["onnxruntime-other-provider"]
    assert "9 of 12 nodes" in one.message and f"3 on {CPU}: b" in one.message


def test_operators_on_shapes_are_the_processors_on_purpose() -> None:
    items = (BOTH, item("provider", CUDA, "9 nodes"), item("provider", CPU, "3 nodes"))
    assert found(*items, runtime="onnxruntime", device="cuda", layers=LAYERS[:1]) == {}


def test_a_provider_that_ran_nothing() -> None:
    items = (BOTH, item("provider", CPU, "12 nodes"))
    one = found(*items, runtime="onnxruntime", device="cuda")["onnxruntime-other-provider"]
    assert f"{CUDA} was asked for, and 0 of 12 nodes" in one.message


def test_a_provider_that_could_not_be_loaded() -> None:
    items = (item("provider", "offered", CPU), item("provider", CPU, "12 nodes"))
    one = found(*items, runtime="onnxruntime", device="cuda")["onnxruntime-other-provider"]
    assert "onnxruntime-gpu" in one.fix
