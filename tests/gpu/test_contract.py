"""The contract of runtimes on a card, and what only a card shows; skipped where there is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.errors import Unavailable
from perfsuite.measure.meters.nvml import Nvml
from perfsuite.runtimes.pytorch.runtime import PyTorch
from perfsuite.runtimes.shared.precision import compute_precisions
from perfsuite.runtimes.table import RUNTIMES
from perfsuite.testing import check_runtime

pytestmark = pytest.mark.gpu

CELLS = [
    (name, precision)
    for name, make in sorted(RUNTIMES.items())
    if "cuda" in make().devices
    for precision in make().precisions
]


@pytest.fixture(autouse=True)
def _card() -> None:
    try:
        PyTorch().require("cuda", "fp32")
    except Unavailable as error:
        pytest.skip(str(error).partition("\n")[0])


@pytest.mark.parametrize(("name", "precision"), CELLS)
def test_engines_meet_the_contract_on_the_card(name: str, precision: str) -> None:
    try:
        check_runtime(RUNTIMES[name](), "cuda", precision)
    except Unavailable as error:  # the engine is not installed, or is for other cards
        pytest.skip(str(error).partition("\n")[0])


def test_the_card_says_which_it_is_and_reaches_more_in_lower_precision() -> None:
    runtime = PyTorch()
    card = runtime.identify("cuda")
    assert card.kind == "cuda"
    assert card.name
    assert card.features[0].startswith("sm_")
    fp32, fp16 = (runtime.roofline("cuda", one) for one in ("fp32", "fp16"))
    assert fp16.flops_per_s > fp32.flops_per_s > 0


def wide_net() -> Any:
    """Return a net whose convolutions are large enough for tensor cores."""
    import torch
    from torch import nn

    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(64, 128, 3), nn.ReLU(), nn.Conv2d(128, 128, 3)).eval()


def wide(seed: int = 0) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {"x": rng.normal(size=(4, 64, 56, 56)).astype(np.float32)}


def opened(folder: Path, precision: str, *, inspect: bool = False) -> Any:
    """Return a session of the net; skip where the card has no such precision."""
    runtime = PyTorch()
    try:
        runtime.require("cuda", precision)
    except Unavailable as error:
        pytest.skip(str(error))
    spec = (InputSpec("x", "float32", ("batch", 64, 56, 56)),)
    manifest = Manifest("pytorch", "cuda", precision, 4, spec, ("y",), False, False)
    runtime.build(Variant(None, wide_net, False), manifest, folder)
    return runtime.open(folder, manifest, SessionOptions(4, 1, inspect, wide_net))


@pytest.mark.parametrize("precision", ["fp32", "tf32", "fp16", "bf16"])
def test_the_precision_is_proven_by_the_kernels_that_ran(tmp_path: Path, precision: str) -> None:
    with opened(tmp_path, precision, inspect=True) as session:
        session.run(wide())
        evidence = session.evidence()
    assert compute_precisions(evidence.kernels) == {precision: 2}
    ran = {item.name: item.value for item in evidence.items if item.about == "kernels"}
    assert "xmma" in ran["cuDNN"] or "cudnn" in ran["cuDNN"]


def test_kernels_belong_to_modules_and_fill_no_more_than_the_call(tmp_path: Path) -> None:
    with opened(tmp_path, "fp32", inspect=True) as session:
        session.run(wide())
        found = session.profile([wide(), wide(1)], 4)
    origins = {origin for kernel in found.kernels for origin in kernel.origins}
    assert {"0/conv2d", "1/relu", "2/conv2d"} <= origins
    for call, wall_s in enumerate(found.walls_s):
        assert 0 < sum(kernel.times_s[call] for kernel in found.kernels) < wall_s


def test_calls_with_bound_buffers_are_timed_by_both_clocks(tmp_path: Path) -> None:
    with opened(tmp_path, "fp32") as session:
        found = session.time_bound([wide()], 5, 0.0)
        assert found is not None
        assert len(found.device_s) == len(found.host_s) == 5
        assert all(
            0 < device < host for device, host in zip(found.device_s, found.host_s, strict=True)
        )


def test_nvml_tells_what_a_window_of_calls_takes(tmp_path: Path) -> None:
    meter = Nvml()
    meter.start("load", "cuda")
    with opened(tmp_path, "fp32") as session:
        session.run(wide())
        assert meter.stop("load", 0) == {}
        meter.start("calls", "cuda")
        assert meter.stop("calls", 1) == {}
        meter.start("window", "cuda")
        end, calls = time.monotonic() + Nvml.window_s, 0
        while time.monotonic() < end:
            session.run(wide())
            calls += 1
        found = meter.stop("window", calls)
    assert found["energy_j"] > 0
    assert found["device_peak_bytes"] > 1e6
    assert found["device_clock_hz"] > 1e8
    assert 0 < found["device_celsius"] < 120


def test_a_process_with_a_context_is_stopped_and_goes_on() -> None:
    program = """
import sys
import torch
one = torch.ones(256, 256, device="cuda")
for line in sys.stdin:
    print(float((one @ one).sum().cpu()), flush=True)
"""
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        answers = []
        for _ in range(3):
            process.stdin.write("go\n")
            process.stdin.flush()
            answers.append(process.stdout.readline())
            os.kill(process.pid, signal.SIGSTOP)
            time.sleep(0.05)
            os.kill(process.pid, signal.SIGCONT)
        process.stdin.close()
    assert np.allclose([float(one) for one in answers], 256.0**3)
