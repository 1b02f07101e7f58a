"""What `prune` says of layers that a user names and that it does not prune."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from prune_nets import Toy, context, conv, pair, pooled, seeded
from torch import nn

from perfsuite.domain.task import Task
from perfsuite.errors import ConfigError, PerfsuiteError, Unsupported
from perfsuite.passes.prune.prune import WITHOUT_TRAINING, Prune
from perfsuite.workloads.checked import CheckedTask


def net() -> nn.Module:
    """conv, three convolutions of other kinds, conv, linear."""
    layers = {
        "a": conv(3, 16),
        "grouped": conv(16, 16, groups=4),
        "up": nn.ConvTranspose2d(16, 16, 1),
        "depthwise": conv(16, 16, groups=16),
        "b": conv(16, 8),
        "head": nn.Linear(8, 4),
    }

    def run(own: Any, x: torch.Tensor) -> Any:
        return own.head(pooled(own.b(own.depthwise(own.up(own.grouped(own.a(x)))))))

    return Toy(run, **layers).eval()


def refusal(model: nn.Module, tmp_path: Path, *layers: str) -> PerfsuiteError:
    asked = Prune(ratio=0.5, scope="uniform", importance="l2", layers=layers)
    with pytest.raises(PerfsuiteError) as caught:
        asked.fit(model, context(tmp_path))
    return caught.value


@pytest.mark.parametrize(
    ("layer", "reason"),
    [
        ("grouped", "its channels are those of a; name that"),
        ("depthwise", "its channels are those of up; name that"),
        ("head", "its channels are an output of the model"),
    ],
)
def test_a_named_layer_that_cannot_be_pruned_is_told_with_what_it_is(
    layer: str, reason: str, tmp_path: Path
) -> None:
    told = refusal(net(), tmp_path, layer)
    assert isinstance(told, Unsupported)
    assert str(told) == f"prune: {layer} cannot be pruned: {reason}"


def test_known_names_are_names(tmp_path: Path) -> None:
    told = refusal(net(), tmp_path, "stem")
    assert isinstance(told, ConfigError)
    assert str(told) == (
        "prune: layers: the model has no module 'stem'; known: a, b, depthwise, grouped, head, up"
    )


def test_without_training_samples_taylor_is_refused_with_what_to_do(tmp_path: Path) -> None:
    train = CheckedTask("stripes", Task(), "").train
    asked = Prune(ratio=0.5, importance="taylor")
    with pytest.raises(Unsupported) as caught:
        asked.fit(net(), context(tmp_path, train=train))
    assert str(caught.value) == (
        "prune: importance 'taylor' follows from training samples: stripes: this task has no "
        'training samples; its method `train` gives them; or ask for importance = "l2", which '
        "needs none"
    )


def test_left_open_the_importance_follows_from_whether_there_are_training_samples(
    tmp_path: Path,
) -> None:
    train = CheckedTask("stripes", Task(), "").train
    model = {name: seeded(pair) for name in ("open", "l2")}
    left = Prune(ratio=0.5, scope="uniform")
    found = left.fit(model["open"], context(tmp_path / "a", train=train))
    named = msgspec.structs.replace(left, importance="l2")
    again = named.fit(model["l2"], context(tmp_path / "b", train=train))
    assert found.data == again.data
    assert left.settled(trains=False) == (named, WITHOUT_TRAINING)
    assert left.settled(trains=True) == (msgspec.structs.replace(left, importance="taylor"), "")
    assert named.settled(trains=True) == (named, "")


def test_a_model_that_is_one_layer_is_called_so(tmp_path: Path) -> None:
    told = refusal(conv(3, 8).eval(), tmp_path)
    assert isinstance(told, Unsupported)
    assert "the model itself: its channels are an output of the model" in str(told)
