"""Sums of bytes really overflow in the processes that are to be as without VNNI."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

import pytest

from perfsuite.domain.cell import Cell
from perfsuite.libraries.switches import SWITCHES
from perfsuite.processor import read_processor
from perfsuite.runner.jobs.overflow import overflows
from perfsuite.runtimes.fake.runtime import Fake
from perfsuite.runtimes.onnxruntime.runtime import OnnxRuntime
from perfsuite.runtimes.openvino.runtime import OpenVino
from perfsuite.runtimes.shared.quantization import weight_bits

pytest.importorskip("onnx")
pytest.importorskip("openvino")
pytest.importorskip("onnxruntime")

IS_X86 = "sse4_2" in read_processor().features
QEMU = SWITCHES["qemu-haswell"].emulator
CODE = """
from perfsuite.domain.cell import Cell
from perfsuite.runner.jobs.overflow import overflows
from perfsuite.runtimes.{module}.runtime import {name} as Engine

print(overflows(Engine(), Cell("net", "int8", "{module}")))
"""
PRIMITIVE = """
import openvino

from perfsuite.runner.jobs.overflow import _convolution

model = openvino.Core().read_model(_convolution().SerializeToString())
compiled = openvino.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
told = [one.get_rt_info() for one in compiled.get_runtime_model().get_ops()]
kinds = {one["layerType"].astype(str): one["primitiveType"].astype(str) for one in told}
print(kinds["Convolution"])
"""


def said(code: str, *before: str, **variables: str) -> str:
    environment = {**os.environ, **variables}
    done = subprocess.run(
        [*before, sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.skipif(not IS_X86, reason="other processors add bytes in another way")
@pytest.mark.parametrize("runtime", [OpenVino(), OnnxRuntime()])
def test_without_a_cap_they_overflow_where_weights_have_7_bits(
    runtime: OpenVino | OnnxRuntime,
) -> None:
    assert overflows(runtime, Cell("net", "int8", runtime.name)) is (weight_bits() == 7)


@pytest.mark.skipif(not IS_X86, reason="the cap is one of x86")
@pytest.mark.parametrize("switch", ["onednn-avx512", "onednn-avx2"])
def test_openvino_heeds_the_cap_of_onednn(switch: str) -> None:
    environment = dict(SWITCHES[switch].environment)
    assert said(CODE.format(module="openvino", name="OpenVino"), **environment) == "True"


@pytest.mark.skipif(not IS_X86, reason="the cap is one of x86")
def test_its_kernels_names_tell_the_cap_too() -> None:
    assert said(PRIMITIVE, **SWITCHES["onednn-avx2"].environment) == "jit_avx2_I8"


def emulates_avx2() -> bool:
    """Tell whether QEMU is there, and new enough: 7.2 is the first version with AVX2."""
    command = shutil.which(QEMU[0])
    if command is None or not IS_X86:
        return False
    told = subprocess.run([command, "--version"], capture_output=True, text=True).stdout
    found = re.search(r"version (\d+)\.(\d+)", told)
    return found is not None and tuple(map(int, found.groups())) >= (7, 2)


@pytest.mark.skipif(not emulates_avx2(), reason="no QEMU that emulates AVX2 (apt: qemu-user)")
def test_onnxruntime_takes_the_kernel_of_an_emulated_haswell() -> None:
    code = CODE.format(module="onnxruntime", name="OnnxRuntime")
    assert said(code, *QEMU) == "True"


def test_an_engine_that_shows_nothing_does_not_overflow() -> None:
    class Refuses(Fake):
        name = "refuses"

        def build(self, *_: object) -> None:
            raise ValueError("no such graphs here")

    assert overflows(Refuses(), Cell("net", "int8", "refuses")) is False
