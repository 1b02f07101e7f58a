"""The pruning pass on layers that are named, in steps, and on models as users have them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from alike import assert_alike
from prune_nets import (
    SIDE,
    TUNE,
    answers,
    by_macs,
    context,
    conv,
    fitted,
    in_stairs,
    pair,
    pictures,
    resnet,
    seeded,
    share_of_macs,
    vgg,
    wide,
)
from torch import nn

from perfsuite.domain.task import Inputs, TrainingSet
from perfsuite.errors import BuildError, ConfigError, Unsupported
from perfsuite.passes.prune.prune import Prune
from perfsuite.training.plan import SgdPlan

# -- layers ------------------------------------------------------------------------------------


def test_layers_limit_what_is_pruned(tmp_path: Path) -> None:
    fields = {"macs": 0.9, "importance": "l2", "scope": "uniform"}
    assert set(fitted(seeded(wide), tmp_path, layers=["b"], **fields).data["kept"]) == {"b"}
    edits = fitted(seeded(lambda: resnet("B")), tmp_path / "b", layers=["[45].conv1"], **fields)
    assert set(edits.data["kept"]) <= {"4.conv1", "4.norm1", "5.conv1", "5.norm1"}
    assert edits.data["kept"]


@pytest.mark.parametrize(
    ("pattern", "kind", "message"),
    [
        ("8", Unsupported, "8 cannot be pruned: its channels are an output of the model"),
        ("1", Unsupported, "1 cannot be pruned: its channels are those of 0; name that"),
        ("3.conv2", Unsupported, "3.conv2 cannot be pruned: its channels are those of 0; name"),
        ("2", Unsupported, "2 cannot be pruned: it is no convolution and no linear layer"),
        ("4", Unsupported, "4 cannot be pruned: it is no layer; those in it are '4.*'"),
        ("4.conv3", ConfigError, "the model has no module '4.conv3'; did you mean '4.conv"),
        ("nowhere*", ConfigError, "the model has no module 'nowhere*'"),
    ],
)
def test_layers_that_cannot_be_pruned_are_told_with_the_reason(
    pattern: str, kind: type[Exception], message: str, tmp_path: Path
) -> None:
    net = seeded(lambda: resnet("B"))
    with pytest.raises(kind) as caught:
        fitted(net, tmp_path, macs=0.9, importance="l2", layers=["3.conv1", pattern])
    assert message in str(caught.value)
    assert str(caught.value).startswith("prune: ")


def test_a_layer_that_went_in_the_first_step_is_not_missed_in_the_second(tmp_path: Path) -> None:
    net = seeded(lambda: resnet("B"))
    names = ["3.conv1", "4.conv1", "5.conv1"]
    with torch.no_grad():
        for block in (3, 4, 5):
            net[block].conv1.weight.zero_()
    edits = fitted(net, tmp_path, macs=0.45, steps=2, importance="l2", layers=names)
    assert set(edits.data["removed"]) & set(names)
    fresh = Prune(macs=0.5).rebuild(resnet("B").eval(), edits)
    assert_alike(answers(fresh, pictures())[0], answers(net, pictures())[0])


# -- steps, fine-tuning, taking up ---------------------------------------------------------------


@pytest.mark.parametrize("finetune", [None, TUNE])
def test_two_steps_name_the_channels_of_the_whole_net(
    finetune: SgdPlan | None, tmp_path: Path
) -> None:
    net, before = seeded(wide), seeded(wide)
    done: list[tuple[int, int]] = []
    ctx = context(tmp_path)
    ctx = type(ctx)(**{**vars(ctx), "progress": lambda *at: done.append(at)})
    prune = Prune(macs=0.4, steps=2, scope="global", importance="l2", finetune=finetune)
    edits = prune.fit(net, ctx)
    assert share_of_macs(net, before) <= 0.41
    kept = edits.data["kept"]
    assert len(kept["a"]) == len(set(kept["a"])) == net.a.out_channels < 48
    expected = before.b.weight[kept["b"]][:, kept["a"]]
    assert torch.equal(net.b.weight, expected) == (finetune is None)
    assert not net.training
    if finetune is not None:
        assert done[-1] == (8, 8)  # two trainings of one epoch of four steps
        assert torch.allclose(net.b.weight, expected, atol=0.1)
    fresh = prune.rebuild(seeded(wide), edits)
    torch.testing.assert_close(answers(fresh, pictures())[0], answers(net, pictures())[0])


def test_a_killed_fit_goes_on_with_the_shapes_that_it_had(tmp_path: Path) -> None:
    prune = Prune(macs=0.5, importance="l2", finetune=TUNE)

    asked: list[TrainingSet] = []

    def killed() -> TrainingSet:
        if asked:  # the choice is made; now it is to be trained
            raise KeyboardInterrupt
        asked.append(context(tmp_path).train())
        return asked[0]

    with pytest.raises(KeyboardInterrupt):
        prune.fit(seeded(wide), context(tmp_path, clock=in_stairs, train=killed))
    net = seeded(wide)
    edits = prune.fit(net, context(tmp_path, clock=by_macs))
    straight = prune.fit(seeded(wide), context(tmp_path / "b", clock=in_stairs))
    other = prune.fit(seeded(wide), context(tmp_path / "c", clock=by_macs))
    assert edits.data == straight.data
    assert edits.data["kept"] != other.data["kept"]  # what the second clock would have chosen
    assert_alike(edits.tensors, straight.tensors)


def test_training_that_diverges_is_told_and_keeps_its_shapes(tmp_path: Path) -> None:
    plan = SgdPlan(epochs=3, batch=8, peak_rate=1e6, warmup=0.0, bf16=False)
    with pytest.raises(BuildError, match="diverged; lower the learning rate"):
        Prune(macs=0.5, importance="l2", finetune=plan).fit(seeded(wide), context(tmp_path))
    assert (tmp_path / "key.step0.json").is_file()


def test_frozen_weights_stay_frozen(tmp_path: Path) -> None:
    net = seeded(wide)
    net.a.requires_grad_(False)
    fitted(net, tmp_path, macs=0.5, scope="uniform", importance="taylor")
    assert [p.requires_grad for p in (net.a.weight, net.a.bias, net.b.weight)] == [
        *(False, False, True)
    ]


# -- models as users have them -----------------------------------------------------------------


def test_a_graph_that_depends_on_data_is_noticed_on_calibration_samples(tmp_path: Path) -> None:
    net = seeded(lambda: pair(other=conv(16, 16)))
    net.how = lambda n, x: n.head((n.b if x.mean() > 0 else n.other)(n.a(x)).mean((2, 3)))
    bright, dark = {"image": pictures()["image"] + 2}, {"image": pictures()["image"] - 2}

    def calibration(samples: int) -> Iterator[Inputs]:
        yield dark

    ctx = context(tmp_path, inputs=bright, calibration=calibration)
    prune = Prune(macs=0.7, importance="l2", layers=("a",))
    with pytest.raises(
        Unsupported, match=r"a cannot be pruned: .*not all inputs take the same pat"
    ):
        prune.fit(net, ctx)


def test_a_task_without_calibration_samples_will_do(tmp_path: Path) -> None:
    def calibration(samples: int) -> Iterator[Inputs]:
        raise Unsupported("this task has no calibration samples")

    Prune(macs=0.7, importance="l2").fit(seeded(wide), context(tmp_path, calibration=calibration))


@pytest.mark.filterwarnings("ignore:.*weight_norm:FutureWarning")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Sequential(nn.Flatten(), nn.Softmax(1)), "it has no convolution and no lin"),
        (
            lambda: nn.Sequential(nn.Flatten(), nn.Linear(192, 4)),
            "no layer of Sequential can be pruned: 1: its channels are an output of the model",
        ),
        (lambda: nn.LayerNorm([3, 8, 8]), "no layer of LayerNorm can be pruned: it has no convol"),
        (
            lambda: pair(b=nn.utils.weight_norm(conv(16, 16))),
            "b: its weights are computed of others",
        ),
    ],
)
def test_models_without_anything_to_prune_are_unsupported(
    make: Callable[[], nn.Module], message: str, tmp_path: Path
) -> None:
    with pytest.raises(Unsupported, match=message):
        fitted(make().eval(), tmp_path, macs=0.5, importance="l2")


def test_weights_that_are_no_numbers_are_told(tmp_path: Path) -> None:
    for name in ("l2", "taylor"):
        net = seeded(wide)
        with torch.no_grad():
            net.a.weight[3, 0, 0, 0] = float("nan")
        with pytest.raises(BuildError, match=r"of a (have NaN|are not finite)"):
            fitted(net, tmp_path / name, macs=0.5, importance=name)


def test_inputs_of_several_names_and_numbers_that_are_whole(tmp_path: Path) -> None:
    def make() -> nn.Module:
        net = pair(words=nn.Embedding(7, 16), mix=nn.Linear(16, 16))
        net.how = lambda n, x, ids: {
            "scores": n.head(n.b(n.a(x).relu()).mean((2, 3)) + n.mix(n.words(ids).mean(1)))
        }
        return net

    inputs = {**pictures(), "ids": np.array([[1, 2], [3, 6]], np.int64)}
    net = seeded(make)
    ctx = context(tmp_path, inputs, calibration=lambda samples: iter([inputs]))
    edits = Prune(macs=0.6, importance="l2").fit(net, ctx)
    fresh = Prune(macs=0.6).rebuild(make().eval(), edits)
    assert_alike(answers(fresh, inputs)[0], answers(net, inputs)[0])


def test_a_model_in_training_mode_is_pruned_as_it_answers(tmp_path: Path) -> None:
    def make() -> nn.Module:
        return seeded(vgg).train()

    net, other = make(), make().eval()
    fields = {"macs": 0.5, "scope": "uniform"}
    assert fitted(net, tmp_path, **fields).data == fitted(other, tmp_path / "b", **fields).data


@pytest.mark.parametrize(
    "layers",
    [
        {"b": nn.Sequential(nn.LSTM(16, 16, batch_first=True))},
        {"b": nn.TransformerEncoderLayer(16, 2, 32, batch_first=True)},
    ],
)
def test_sequences_are_left_alone_and_what_is_behind_them_is_pruned(
    layers: dict[str, nn.Module], tmp_path: Path
) -> None:
    def make() -> nn.Module:
        net = pair(**copy.deepcopy(layers), rise=nn.Linear(16, 64), fall=nn.Linear(64, 16))

        def forward(n: Any, x: torch.Tensor) -> torch.Tensor:
            y = n.b(n.a(x).flatten(2).transpose(1, 2))
            y = y[0] if isinstance(y, tuple) else y
            return n.head(n.fall(n.rise(y.mean(1)).relu()))  # type: ignore[no-any-return]

        net.how = forward
        return net

    net = make().eval()
    fresh = copy.deepcopy(net)
    edits = fitted(net, tmp_path, ratio=0.3, scope="uniform", importance="l2")
    assert "rise" in edits.data["kept"]
    assert "a" in edits.data["left"]
    Prune(ratio=0.3).rebuild(fresh, edits)
    assert_alike(answers(fresh, pictures())[0], answers(net, pictures())[0])


def test_one_dimensional_convolutions(tmp_path: Path) -> None:
    def make() -> nn.Module:
        net = pair(a=nn.Conv1d(3, 32, 3), b=nn.Conv1d(32, 16, 3))
        net.how = lambda n, x: n.head(n.b(n.a(x.flatten(2)).relu()).mean(2))
        return net

    net = seeded(make)
    edits = fitted(net, tmp_path, macs=0.5, importance="l2")
    fresh = Prune(macs=0.5).rebuild(make().eval(), edits)
    assert_alike(answers(fresh, pictures())[0], answers(net, pictures())[0])
    length = SIDE * SIDE
    kept = {"a": 32, "b": 16} | {path: len(some) for path, some in edits.data["kept"].items()}

    def macs(a: int, b: int) -> int:
        return 2 * ((length - 2) * 9 * a + (length - 4) * 3 * a * b + 4 * b)

    assert macs(**kept) <= 0.5 * macs(32, 16)
