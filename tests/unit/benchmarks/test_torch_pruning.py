"""Torch-Pruning as a plug-in: widths and multiply-accumulates by hand, training, the contract."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from alike import assert_alike

from perfsuite.domain.recipe import Edits, PassContext, Target
from perfsuite.domain.task import TrainingSet
from perfsuite.errors import BuildError, Unsupported
from perfsuite.measure.macs import count_module
from perfsuite.models.vgg import vgg
from perfsuite.plugins import load
from perfsuite.testing import check_pass
from perfsuite.training.plan import SgdPlan

torch = pytest.importorskip("torch")
pytest.importorskip("torch_pruning")

FILE = Path(__file__).parents[3] / "benchmarks" / "torch_pruning_readme.py"
TorchPruning = load("pass", f"{FILE}:TorchPruning", {})
PICTURES = np.random.default_rng(0).normal(size=(32, 3, 4, 4)).astype(np.float32)
INPUTS = {"pictures": PICTURES[:1]}
PLAN = SgdPlan(epochs=2, batch=16, peak_rate=0.05, bf16=False, teacher=0.5)
FIRST, SECOND = "features.0", "features.4"


def net() -> torch.nn.Module:
    """Return a VGG of 3 * 16 * 9 * 16 + 16 * 32 * 9 * 4 + 32 * 5 = 25504 MACs.

    The even channels of its first layer have small weights.
    """
    torch.manual_seed(0)
    module = vgg((16, "M", 32, "M"), channels=3, classes=5).eval()
    with torch.no_grad():
        for name in ("features.0.weight", "features.1.weight"):
            module.get_parameter(name)[::2] *= 0.01
    return module


def context(folder: Path) -> PassContext:
    labels = np.arange(len(PICTURES)) % 5
    return PassContext(
        inputs=INPUTS,
        calibration=lambda samples: iter([INPUTS]),
        train=lambda: TrainingSet(PICTURES, labels, lambda batch, rng: batch),
        target=Target("onnxruntime", "cpu"),
        checkpoint=folder / "checkpoint",
        progress=lambda done, total: None,
        latency_s=lambda candidates, cold_bytes=0: pytest.fail("it listens to no clock"),
    )


def answers(module: torch.nn.Module) -> torch.Tensor:
    with torch.no_grad():
        return module.eval()(torch.from_numpy(PICTURES))


def test_the_least_share_that_is_enough_and_the_weakest_channels(tmp_path: Path) -> None:
    # The least share rounds 16 and 32 channels down by one step of 8.
    edits = TorchPruning(macs=0.5).fit(net(), context(tmp_path))
    assert edits.data["widths"] == {FIRST: 8, SECOND: 24, "classifier": 5}
    assert edits.data["ratio"] == 1 / 1024

    rebuilt = TorchPruning(macs=0.5).rebuild(net(), edits)
    macs = 3 * 8 * 9 * 16 + 8 * 24 * 9 * 4 + 24 * 5
    assert count_module(rebuilt, INPUTS).macs == macs <= 0.5 * 25504
    strong = net().get_parameter(f"{FIRST}.weight")[1::2]
    assert torch.equal(rebuilt.get_parameter(f"{FIRST}.weight"), strong)


def test_one_step_further_every_layer_loses_the_same_share(tmp_path: Path) -> None:
    # 8144 MACs need 16 of 32 channels: more than a quarter goes, by the bisection's 1/1024.
    edits = TorchPruning(macs=8144 / 25504).fit(net(), context(tmp_path))
    assert edits.data["widths"] == {FIRST: 8, SECOND: 16, "classifier": 5}
    assert edits.data["ratio"] == 1 / 4 + 1 / 1024


def test_what_rounding_does_not_reach_is_said(tmp_path: Path) -> None:
    # Above one half, the pruner would leave the first layer no channel, and so leaves it whole.
    with pytest.raises(BuildError, match="raise macs"):
        TorchPruning(macs=0.3).fit(net(), context(tmp_path))


def test_it_is_trained_and_its_teacher_is_not(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    ctx = replace(context(tmp_path), progress=lambda done, total: seen.append((done, total)))
    whole = net()
    trained = TorchPruning(macs=0.5, finetune=PLAN).fit(whole, ctx)
    bare = TorchPruning(macs=0.5).fit(net(), ctx)

    assert seen[-1] == (4, 4)
    for name, tensor in net().state_dict().items():
        assert torch.equal(whole.state_dict()[name], tensor), name
    assert_alike(answers(whole), answers(net()))  # training has laid its weights out otherwise
    assert trained.data == bare.data
    weight = f"{SECOND}.weight"
    assert np.abs(trained.tensors[weight] - bare.tensors[weight]).max() > 1e-3
    again = TorchPruning(macs=0.5, finetune=PLAN).fit(net(), context(tmp_path / "other"))
    assert_alike(again.tensors, trained.tensors)


def test_edits_of_another_net_are_refused() -> None:
    foreign = Edits({}, {"weight": np.zeros((2, 2), np.float32)})
    with pytest.raises(BuildError, match="another model"):
        TorchPruning(macs=0.5).rebuild(net(), foreign)


def test_a_net_without_a_linear_classifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="no linear classifier"):
        TorchPruning(macs=0.5).fit(torch.nn.Conv2d(3, 16, 1), context(tmp_path))


@pytest.mark.parametrize("macs", [0.0, 1.0, float("nan")])
def test_a_share_is_between_0_and_1(macs: float) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        TorchPruning(macs=macs)


@pytest.mark.parametrize("finetune", [None, PLAN])
def test_contract(finetune: SgdPlan | None) -> None:
    pass_ = TorchPruning(macs=0.5, finetune=finetune)
    assert pass_.resolve(Target("openvino", "cpu")) == ""
    check_pass(pass_)
