"""The clock that passes listen to: exact on a scripted engine, alive on the real ones."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from itertools import cycle
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import numpy as np
import pytest

from perfsuite.domain.runtime import Manifest, Runtime, SessionOptions, Variant
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, ConfigError, PerfsuiteError, Unavailable, Unsupported
from perfsuite.runner.build import latency_clock as clock_module
from perfsuite.runner.build.latency_clock import TURNS, Clock, _low, _parts, _Reader
from perfsuite.runtimes.fake.runtime import Fake
from perfsuite.runtimes.onnxruntime.runtime import OnnxRuntime
from perfsuite.runtimes.openvino.runtime import OpenVino
from perfsuite.runtimes.pytorch.runtime import PyTorch
from perfsuite.runtimes.shared.base import BaseSession
from perfsuite.runtimes.tensorrt.runtime import TensorRtRtx

torch = pytest.importorskip("torch")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

MS = 1_000_000


class Scripted:
    """Takes graphs; a call lasts so many milliseconds as its module's weights have elements."""

    name: ClassVar[str] = "scripted"
    takes: ClassVar[str] = "graph"
    devices: ClassVar[tuple[str, ...]] = ("cpu",)
    precisions: ClassVar[tuple[str, ...]] = ("fp32",)

    def __init__(self, noise_ms: Sequence[int] = (0,)) -> None:
        self.noise_ms = noise_ms
        self.manifests: list[Manifest] = []
        self.openings: list[SessionOptions] = []
        self.calls: list[int] = []  # milliseconds without noise, as they came
        self.open_now = self.most_open = 0

    def probe(self) -> dict[str, str]:
        return {"scripted": "1"}

    def build(self, variant: Variant, manifest: Manifest, folder: Path) -> None:
        import onnx

        assert variant.graph is not None
        weights = onnx.load(variant.graph).graph.initializer
        elements = sum(int(np.prod(tensor.dims)) for tensor in weights)
        if elements == 13:
            raise Unsupported("thirteen")
        self.manifests.append(manifest)
        (folder / "elements").write_text(str(elements))

    def open(self, folder: Path, manifest: Manifest, options: SessionOptions) -> ScriptedSession:
        self.openings.append(options)
        return ScriptedSession(self, int((folder / "elements").read_text()))


class ScriptedSession(BaseSession):
    def __init__(self, runtime: Scripted, elements: int) -> None:
        self.runtime, self.elements, self.now_ns = runtime, elements, 0
        self.noise = cycle(runtime.noise_ms)
        self.clock = lambda: self.now_ns

    def __enter__(self) -> ScriptedSession:
        self.runtime.open_now += 1
        self.runtime.most_open = max(self.runtime.most_open, self.runtime.open_now)
        return self

    def close(self) -> None:
        self.runtime.open_now -= 1

    def run(self, inputs: Inputs) -> Outputs:
        if self.elements == 17:
            raise ValueError("seventeen")
        self.runtime.calls.append(self.elements)
        self.now_ns += (self.elements + next(self.noise)) * MS
        return [np.full(1, np.nan if self.elements == 19 else 0, np.float32)]


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Hold that nothing stays where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield
    assert list(tmp_path.glob("perfsuite-*")) == []


def linear(elements: int, batch: int = 1) -> tuple[Any, Inputs]:
    module = torch.nn.Linear(elements, 1, bias=False)
    return module, {"x": np.ones((batch, elements), np.float32)}


def scripted(runtime: Runtime | None = None) -> Clock:
    return Clock(runtime or Scripted(), "cpu", "fp32", 1)


def test_each_candidate_gets_its_time_in_its_place() -> None:
    assert scripted()([linear(5), linear(2), linear(9)]) == (0.005, 0.002, 0.009)


def test_nothing_to_time_gives_nothing() -> None:
    assert scripted()([]) == ()


def test_the_lower_quartile_is_an_order_statistic() -> None:
    assert _low([4, 1, 3, 2]) == 1  # ceil(4 / 4) = first
    assert _low([5, 4, 3, 2, 1]) == 2  # ceil(5 / 4) = second
    assert _low([7]) == 7


def test_interruptions_do_not_count() -> None:
    # Every second call; a turn of 8 ms has four calls, three of which count.
    runtime = Scripted(noise_ms=(0, 50))
    assert scripted(runtime)([linear(2)]) == (0.002,)


def test_candidates_take_turns_forth_and_back() -> None:
    runtime = Scripted()
    scripted(runtime)([linear(1), linear(8)])
    # One call, two for the pace; a turn is 8 ms long, and has at least four calls.
    expected = [1] * 3 + [8] * 3
    for number in range(TURNS):
        expected += [*[1] * 8, *[8] * 4] if number % 2 == 0 else [*[8] * 4, *[1] * 8]
    assert runtime.calls == expected


def test_an_engine_is_told_what_it_would_be_told_of_the_whole_model() -> None:
    runtime = Scripted()
    Clock(runtime, "cpu", "bf16", 1)([linear(3, batch=6)])
    (manifest,), (options,) = runtime.manifests, runtime.openings
    assert (manifest.runtime, manifest.device, manifest.precision) == ("scripted", "cpu", "bf16")
    assert (manifest.batch, options.batch, options.threads) == (6, 6, 1)
    assert [(spec.name, spec.dtype, spec.shape) for spec in manifest.inputs] == [
        ("x", "float32", (6, 3))
    ]
    assert len(manifest.outputs) == 1 and not manifest.quantized


def test_memory_is_bounded_by_the_weights_that_are_open_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clock_module, "OPEN_BYTES", 40)
    candidates = [linear(elements) for elements in (5, 5, 1, 20, 2)]
    assert [len(part) for part in _parts(candidates)] == [2, 1, 1, 1]
    runtime = Scripted()
    assert scripted(runtime)(candidates) == (0.005, 0.005, 0.001, 0.02, 0.002)
    assert runtime.most_open == 2 and runtime.open_now == 0


@pytest.mark.parametrize(
    ("elements", "kind", "message"),
    [
        (13, Unsupported, r"candidate 1 \(Linear\) on scripted: thirteen"),
        (
            17,
            BuildError,
            r"candidate 1 \(Linear\) on .*: timing it failed in .* ValueError: seventeen",
        ),
        (19, BuildError, r"candidate 1 \(Linear\) on scripted: output '0': 1 NaN"),
    ],
)
def test_an_error_says_whose_it_is_and_leaves_nothing(
    elements: int, kind: type[PerfsuiteError], message: str
) -> None:
    runtime = Scripted()
    with pytest.raises(kind, match=message):
        scripted(runtime)([linear(2), linear(elements), linear(3)])
    assert runtime.open_now == 0


def test_what_does_not_export_is_said() -> None:
    class Odd(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            raise RuntimeError("no such thing")

    with pytest.raises(BuildError, match=r"candidate 0 \(Odd\) .* TorchScript: .*no such thing"):
        scripted()([(Odd(), {"x": np.ones((1, 2), np.float32)})])


def test_a_call_needs_inputs_and_memory_is_not_negative() -> None:
    with pytest.raises(ConfigError, match="at least one array"):
        scripted()([(torch.nn.Linear(2, 1), {})])
    with pytest.raises(ConfigError, match="cold_bytes is -1"):
        scripted()([linear(2)], -1)


def test_modules_and_torch_are_left_as_they_were() -> None:
    module = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4)).train()
    module[1].eval()
    before = {name: value.clone() for name, value in module.state_dict().items()}
    inputs = {"x": np.ones((2, 3, 8, 8), np.float32)}
    threads = torch.get_num_threads()
    for runtime in (OnnxRuntime(), PyTorch()):
        Clock(runtime, "cpu", "fp32", threads + 1)([(module, inputs)])
        assert torch.get_num_threads() == threads
        assert torch.is_grad_enabled()
    Clock(PyTorch(), "cpu", "bf16", 1)([(module, inputs)])
    assert [part.training for part in module.modules()] == [True, True, False]
    after = module.state_dict()
    assert all(torch.equal(after[name], value) for name, value in before.items())
    assert all(after[name].dtype == value.dtype for name, value in before.items())


def test_memory_is_read_before_each_call_outside_of_the_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reads: list[Inputs] = []
    real = _Reader.__call__

    def counted(self: _Reader, inputs: Inputs) -> None:
        reads.append(inputs)
        real(self, inputs)

    monkeypatch.setattr(_Reader, "__call__", counted)
    runtime = Scripted()
    candidate = linear(4)
    found = scripted(runtime)([candidate], cold_bytes=1 << 20)
    assert found == (0.004,)
    assert len(reads) == len(runtime.calls) - 1  # all but the very first
    assert all(read is candidate[1] for read in reads)


def test_what_is_read_is_capped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock_module, "COLD_BYTES", 800)
    assert [_Reader(size).memory.nbytes for size in (0, 80, 10**9)] == [0, 80, 800]


def test_a_scripted_engine_that_takes_nothing_has_its_own_clock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.json"
    script.write_bytes(msgspec.json.encode({"fp32/cpu/b1": {"latencies_s": [0.25]}}))
    monkeypatch.setenv("PERFSUITE_FAKE", str(script))
    assert Clock(Fake(), "cpu", "fp32", 1)([linear(2), linear(3)]) == (0.25, 0.25)


@pytest.mark.parametrize("runtime", [OnnxRuntime(), OpenVino(), PyTorch()])
@pytest.mark.parametrize("threads", [1, 2])
def test_real_engines_run_layers_and_nets(
    runtime: Runtime, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock_module, "TURNS", 2)
    layer = torch.nn.Conv2d(3, 4, 3, padding=1, groups=1)
    net = torch.nn.Sequential(layer, torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(256, 2))
    images = {"images": np.ones((1, 3, 8, 8), np.float32)}
    boxes = torch.nn.Linear(7, 2), {"boxes": np.ones((100, 7), np.float32)}
    found = Clock(runtime, "cpu", "fp32", threads)(
        [(layer, images), (net, images), boxes], cold_bytes=4096
    )
    assert len(found) == 3 and all(0 < seconds < 10 for seconds in found)


def test_a_device_that_is_only_built_for_has_no_clock() -> None:
    runtime = TensorRtRtx()
    with pytest.raises(Unavailable, match=r'on sm_89, .* without times \(prune: scope = "global"'):
        Clock(runtime, "sm_89", "fp16", 1)([linear(3)])
