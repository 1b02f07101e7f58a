"""The suite behind `perfsuite doctor`: everything is looked at, nothing is timed."""

from __future__ import annotations

import pytest

from perfsuite.config import cells
from perfsuite.config.doctor_suite import doctor_suite
from perfsuite.errors import ConfigError


def keys(**given: object) -> list[str]:
    return [cell.key for cell in cells(doctor_suite(**given))]  # type: ignore[arg-type]


def test_without_a_workload_each_engine_runs_what_it_can() -> None:
    suite = doctor_suite(threads=2)
    assert suite.name == "doctor"
    assert [cell.key for cell in cells(suite)] == [
        "vgg-digits/fp32/pytorch/cpu/b16",
        "vgg-digits/fp32/onnxruntime/cpu/b16",
        "vgg-digits/fp32/openvino/cpu/b16",
        "vgg-digits/int8/onnxruntime/cpu/b16",
        "vgg-digits/int8/openvino/cpu/b16",
    ]
    assert (suite.processes, suite.meters) == (0, ())
    assert suite.inspect.roofline is False


def test_a_batch_that_is_asked_for() -> None:
    assert keys(runtimes=["pytorch"], batch=2) == ["vgg-digits/fp32/pytorch/cpu/b2"]


def test_a_card_that_is_asked_for() -> None:
    found = keys(runtimes=["pytorch"], device="cuda", precision="fp16")
    assert found == ["vgg-digits/fp32/pytorch/cuda/b16/fp16"]


def test_a_recipe_or_an_engine_alone() -> None:
    assert keys(recipe="fp32", runtimes=["openvino"]) == ["vgg-digits/fp32/openvino/cpu/b16"]
    assert keys(recipe="int8", runtimes=["openvino"]) == ["vgg-digits/int8/openvino/cpu/b16"]
    assert keys(runtimes=["pytorch"]) == ["vgg-digits/fp32/pytorch/cpu/b16"]


def test_a_workload_is_looked_at_in_fp32_unless_a_recipe_is_named() -> None:
    suite = doctor_suite("vgg-digits", ["onnxruntime"], batch=4)
    assert suite.name == "doctor-vgg-digits"
    assert [cell.key for cell in cells(suite)] == ["vgg-digits/fp32/onnxruntime/cpu/b4"]
    assert keys(workload="vgg-digits", runtimes=["openvino"], recipe="int8") == [
        "vgg-digits/int8/openvino/cpu/b1"
    ]


def test_mistakes_are_told_with_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'vgg-digits'"):
        doctor_suite("vgg-digit")
    with pytest.raises(ConfigError, match="did you mean 'openvino'"):
        doctor_suite(runtimes=["openvin"])
    with pytest.raises(ConfigError, match="unknown recipe 'int9'; did you mean 'int8'"):
        doctor_suite(recipe="int9")
