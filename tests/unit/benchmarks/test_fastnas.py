"""FastNAS as a plug-in: what it is told, and that its edits make the same net anew."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.recipe import PassContext, Target
from perfsuite.domain.task import Predict
from perfsuite.errors import BuildError, Unavailable
from perfsuite.plugins import load

torch = pytest.importorskip("torch")

FastNas = load("pass", f"{Path(__file__).parents[3] / 'benchmarks' / 'fastnas.py'}:FastNas", {})
PICTURES = np.random.default_rng(0).normal(size=(60, 3, 4, 4)).astype(np.float32)
LABELS = np.arange(60) % 5


def net(channels: int = 8) -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, channels, 3, padding=1, bias=False),
        torch.nn.BatchNorm2d(channels),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
        torch.nn.Linear(channels, 5),
    ).eval()


def context(folder: Path) -> PassContext:
    def validation(predict: Predict) -> np.ndarray:
        answers = [predict({"x": part})[0] for part in np.split(PICTURES, 3)]
        found = np.concatenate(answers).argmax(axis=1) == LABELS
        return found.astype(np.float64)[:, None]

    return PassContext(
        {"x": PICTURES[:1]}, lambda samples: iter([{"x": PICTURES}]), lambda: None,
        Target("onnxruntime", "cpu"), folder / "key", lambda *_: None, lambda *_: (),
        validation=validation, metric=lambda rows: float(rows.mean()),
    )  # fmt: skip


def installed(monkeypatch: pytest.MonkeyPatch, channels: int) -> list[dict[str, Any]]:
    """Put a ModelOpt in place that narrows `net` to so many channels; return its calls."""
    calls: list[dict[str, Any]] = []

    def prune(model: Any, **given: Any) -> tuple[Any, dict[str, Any]]:
        config = given["config"]
        config["forward_loop"](model)
        calls.append({**given, "score": config["score_func"](model)})
        return net(channels), {}

    kinds = ("nn.Conv2d", "nn.Linear", "nn.BatchNorm2d")
    rules = {kind: {"*": {}} for kind in kinds}
    prune_package = ModuleType("modelopt.torch.prune")
    prune_package.prune = prune  # type: ignore[attr-defined]
    prune_package.fastnas = SimpleNamespace(FastNASConfig=lambda: rules)  # type: ignore[attr-defined]
    package = ModuleType("modelopt.torch")
    package.prune = prune_package  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "modelopt", ModuleType("modelopt"))
    monkeypatch.setitem(sys.modules, "modelopt.torch", package)
    return calls


def test_it_gets_the_share_the_step_and_the_validation_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = installed(monkeypatch, 4)
    edits = FastNas(0.5, divisor=2).fit(net(), context(tmp_path))
    (call,) = calls
    assert call["constraints"] == {"flops": "50.00%"}
    assert call["mode"][0][1]["nn.Conv2d"]["*"] == {"channel_divisor": 2}
    with torch.no_grad():
        right = net()(torch.from_numpy(PICTURES)).argmax(dim=1).numpy() == LABELS
    assert call["score"] == pytest.approx(right.mean())
    assert edits.data["widths"] == {"0": 4, "4": 5} and edits.data["macs"] == 0.5


def test_no_more_samples_are_answered_than_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = installed(monkeypatch, 4)
    seen: list[int] = []
    whole = net()
    whole.register_forward_hook(lambda _, given, __: seen.append(len(given[0])))
    FastNas(0.5, scored=30).fit(whole, context(tmp_path))
    with torch.no_grad():
        right = net()(torch.from_numpy(PICTURES)).argmax(dim=1).numpy() == LABELS
    assert calls[0]["score"] == pytest.approx(right[:30].mean())
    assert seen.count(20) == 2


def test_edits_make_the_same_net_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    installed(monkeypatch, 4)
    made = FastNas(0.5)
    again = made.rebuild(net(), made.fit(net(), context(tmp_path))).eval()
    with torch.no_grad():
        wanted, found = (one(torch.from_numpy(PICTURES)) for one in (net(4), again))
    assert torch.equal(wanted, found)


def test_more_than_was_asked_for_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed(monkeypatch, 6)
    with pytest.raises(BuildError, match=r"75\.0% of the multiply-accumulates are left"):
        FastNas(0.5).fit(net(), context(tmp_path))


def test_without_modelopt_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "modelopt", None)
    with pytest.raises(Unavailable, match="pip install nvidia-modelopt"):
        FastNas(0.5).fit(net(), context(tmp_path))
