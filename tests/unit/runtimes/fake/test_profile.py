"""The scripted engine's kernels take their shares of each latency."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.domain.profile import Kernel, Profile
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.errors import BuildError, ConfigError, Unsupported
from perfsuite.runtimes.fake.runtime import Fake, FakeSession

MANIFEST = Manifest(
    "fake", "cpu", "fp32", 1, (InputSpec("x", "float32", ("batch", 4)),), ("y",), False, False
)
INPUTS = [{"x": np.zeros((1, 4), np.float32)}]


def opened(
    folder: Path, monkeypatch: pytest.MonkeyPatch, script: object, inspect: bool = True
) -> FakeSession:
    (folder / "script.json").write_text(json.dumps({"*": script}))
    monkeypatch.setenv("PERFSUITE_FAKE", str(folder / "script.json"))
    Fake().build(Variant(None, None, quantized=False), MANIFEST, folder)
    return Fake().open(folder, MANIFEST, SessionOptions(1, 1, inspect))


def test_kernels_take_their_shares(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = {"latencies_s": [0.5, 1], "kernels": {"backbone/Conv": 0.5, "rpn/Conv": 0.25}}
    with opened(tmp_path, monkeypatch, script) as session:
        profile = session.profile(INPUTS, 2)
        assert session.clock() == 1_500_000_000
    conv = {"kind": "Conv", "precision": "fp32"}
    assert profile == Profile(
        (0.5, 1.0),
        (
            Kernel("backbone/Conv", "Conv", (0.25, 0.5), (0, 0), ("backbone/Conv",), (), "fp32"),
            Kernel("rpn/Conv", times_s=(0.125, 0.25), starts_s=(0.25, 0.5),
                   origins=("rpn/Conv",), **conv),
        ),
    )  # fmt: skip


def test_without_kernels_all_is_overhead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with opened(tmp_path, monkeypatch, {"latencies_s": [2]}) as session:
        assert session.profile(INPUTS, 1) == Profile((2.0,), ())


@pytest.mark.parametrize("shares", [{"a": 0.7, "b": 0.4}, {"a": -0.1}])
def test_shares_of_more_than_a_call_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shares: dict[str, float]
) -> None:
    with pytest.raises(ConfigError, match="shares of a call"):
        opened(tmp_path, monkeypatch, {"kernels": shares})


def test_it_profiles_with_inspect_alone_and_fails_as_scripted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Unsupported, match="opened with inspect"):
        opened(tmp_path, monkeypatch, {}, inspect=False).profile(INPUTS, 1)
    with pytest.raises(BuildError, match="scripted, in run"):
        opened(tmp_path, monkeypatch, {"run": "raise"}).profile(INPUTS, 1)
