"""What `prune` says of layers that a user names and that it does not prune."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from prune_nets import Toy, context, conv, pooled
from torch import nn

from perfsuite.domain.task import Task
from perfsuite.errors import ConfigError, PerfsuiteError, Unsupported
from perfsuite.passes.prune.prune import Prune


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


def test_without_training_samples_there_is_another_importance(tmp_path: Path) -> None:
    class Unlabelled(Task):
        pass

    with pytest.raises(Unsupported) as caught:
        Prune(ratio=0.5).fit(net(), context(tmp_path, train=Unlabelled().train))
    assert str(caught.value) == (
        "prune: importance 'taylor': Unlabelled: this task has no training samples; its method "
        "`train` gives them; or use 'l2'"
    )


def test_a_model_that_is_one_layer_is_called_so(tmp_path: Path) -> None:
    told = refusal(conv(3, 8).eval(), tmp_path)
    assert isinstance(told, Unsupported)
    assert "the model itself: its channels are an output of the model" in str(told)
