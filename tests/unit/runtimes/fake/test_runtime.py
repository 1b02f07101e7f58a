"""The scripted engine does exactly what its script says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, SessionOptions, Variant
from perfsuite.errors import BuildError, ConfigError, Unavailable
from perfsuite.runtimes.fake.runtime import Fake, FakeSession

SPEC = (InputSpec("x", "float32", ("batch", 4)),)
NOTHING = Variant(None, None, quantized=False)


def manifest(*, quantized: bool = False) -> Manifest:
    return Manifest("fake", "cpu", "fp32", 1, SPEC, ("logits",), quantized, quantized)


def scripted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scripts: dict[str, object]) -> None:
    (tmp_path / "script.json").write_text(json.dumps(scripts))
    monkeypatch.setenv("PERFSUITE_FAKE", str(tmp_path / "script.json"))


def opened(tmp_path: Path, made: Manifest, batch: int = 1) -> FakeSession:
    Fake().build(NOTHING, made, tmp_path)
    return Fake().open(tmp_path, made, SessionOptions(batch, 1))


def x(batch: int) -> dict[str, np.ndarray]:
    return {"x": np.arange(4 * batch, dtype=np.float32).reshape(batch, 4)}


def test_the_clock_shows_the_scripted_latencies_over_and_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripted(tmp_path, monkeypatch, {"*": {"latencies_s": [0.001, 0.0025]}})
    with opened(tmp_path, manifest()) as session:
        assert session.clock is not None
        times = [session.clock()]
        for _ in range(3):
            session.run(x(1))
            times.append(session.clock())
    assert times == [0, 1_000_000, 3_500_000, 4_500_000]


def test_the_first_glob_that_matches_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scripts = {
        "net/*": {"latencies_s": [4]},
        "int8/cpu/b1": {"latencies_s": [1]},
        "fp32/*": {"latencies_s": [2]},
    }
    scripted(tmp_path, monkeypatch, scripts)

    def first_latency_s(made: Manifest, batch: int) -> float:
        session = opened(tmp_path, made, batch)
        session.run(x(batch))
        assert session.clock is not None
        return session.clock() / 1e9

    assert first_latency_s(manifest(quantized=True), 1) == 1
    assert first_latency_s(manifest(), 8) == 2
    assert first_latency_s(manifest(quantized=True), 2) == 0.001, "no match: the default"
    monkeypatch.setenv("PERFSUITE_CELL", "net/fp32/fake/cpu/b1")
    assert first_latency_s(manifest(), 1) == 4


def test_answers_follow_from_the_sample_alone(tmp_path: Path) -> None:
    batched = opened(tmp_path, manifest(), 3).run(x(3))[0]
    single = [opened(tmp_path, manifest()).run({"x": x(3)["x"][i : i + 1]})[0] for i in range(3)]
    assert batched.shape == (3, 10)
    assert np.array_equal(batched, np.concatenate(single))
    assert np.array_equal(batched.sum(axis=1), np.ones(3))


@pytest.mark.parametrize("where", ["build", "open", "run"])
@pytest.mark.parametrize(
    ("behaviour", "error"),
    [("raise", BuildError), ("oom", MemoryError), ("unavailable", Unavailable)],
)
def test_scripted_failures(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    behaviour: str,
    error: type[Exception],
) -> None:
    scripted(tmp_path, monkeypatch, {"*": {where: behaviour}})
    with pytest.raises(error, match=f"scripted, in {where}"):
        opened(tmp_path, manifest()).run(x(1))


def test_nan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(tmp_path, monkeypatch, {"*": {"run": "nan"}})
    assert np.isnan(opened(tmp_path, manifest()).run(x(2))[0]).all()


def test_a_crash_is_a_real_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scripted(tmp_path, monkeypatch, {"*": {"build": "crash"}})
    program = (
        "from pathlib import Path; from perfsuite.runtimes.fake.runtime import *;"
        "Fake().build(Variant(None, None, False),"
        "Manifest('fake', 'cpu', 'fp32', 1, (), (), False, False), Path('.'))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=False)
    assert done.returncode == -11


@pytest.mark.parametrize("content", ["{", '{"*": {"latency": [1]}}', '{"*": {"latencies_s": []}}'])
def test_a_bad_script_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    (tmp_path / "script.json").write_text(content)
    monkeypatch.setenv("PERFSUITE_FAKE", str(tmp_path / "script.json"))
    with pytest.raises(ConfigError, match=r"PERFSUITE_FAKE=.*script\.json"):
        opened(tmp_path, manifest())
