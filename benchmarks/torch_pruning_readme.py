"""Pruning as Torch-Pruning's README shows it, to be compared with perfsuite's own `prune`.

    passes = [{ use = "torch_pruning_readme.py:TorchPruning", macs = 0.5, finetune = { ... } }]

The settings are those of the README's example of a high-level pruner (version 1.6.1): group
magnitudes by their L2 norm, the same share of each layer's channels, widths rounded to 8, all but
the final classifier. Only that share is looked for, so that both nets may do as many
multiply-accumulates, and they are fine-tuned alike: what differs is which channels go.
Source of the pruner: Fang et al. 2023 (arXiv:2301.12900).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, ClassVar

import msgspec

from perfsuite.domain.recipe import Edits, PassContext, Target
from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, Unsupported
from perfsuite.export.state import as_arrays
from perfsuite.measure.macs import count_module
from perfsuite.passes.prune.surgery import load
from perfsuite.training.finetune import fine_tune
from perfsuite.training.loop import TrainingProgress
from perfsuite.training.plan import AdamPlan, SgdPlan

if TYPE_CHECKING:
    import torch
    from torch import nn

_ROUND_TO = 8  # the example's
_HALVINGS = 10  # of the share: finer than one channel of 512


class TorchPruning(msgspec.Struct, frozen=True):
    """Takes channels out until at most the share `macs` of the multiply-accumulates stays.

    Then trains by `finetune`, if given, with the whole net as the teacher.
    """

    macs: float
    finetune: SgdPlan | AdamPlan | None = None

    version: ClassVar[int] = 1
    runtimes: ClassVar[tuple[str, ...]] = ()

    def __post_init__(self) -> None:
        if not 0.0 < self.macs < 1.0:
            raise ValueError(f"macs is {self.macs}; it must be above 0 and below 1")

    def resolve(self, target: Target) -> str:
        """Return nothing: weights alone decide."""
        return ""

    def fit(self, model: nn.Module, ctx: PassContext) -> Edits:
        """Return the share of channels taken, the widths left, and all tensors of the net.

        Raises `Unsupported` for a model without a linear classifier, `BuildError` where no share
        brings the multiply-accumulates down so far.
        """
        ratio, smaller = self._search(model.eval(), ctx.inputs)
        if self.finetune is not None:
            tune(smaller, model, self.finetune, ctx)
        return Edits({"ratio": ratio, "widths": widths_of(smaller)}, as_arrays(smaller))

    def rebuild(self, model: nn.Module, edits: Edits) -> nn.Module:
        """Return `model` with the shapes and the values of the edits' tensors."""
        load(model, edits.tensors)
        return model

    def _search(self, model: nn.Module, inputs: Inputs) -> tuple[float, nn.Module]:
        """Return the least share of channels to take that is enough, and the net without them."""
        limit = self.macs * count_module(model, inputs).macs
        found: tuple[float, nn.Module] | None = None
        low, high = 0.0, 1.0
        for _ in range(_HALVINGS):
            ratio = (low + high) / 2
            smaller = pruned(model, inputs, ratio)
            if count_module(smaller, inputs).macs <= limit:
                found, high = (ratio, smaller), ratio
            else:
                low = ratio
        if found is None:
            # The pruner leaves a layer whole of which rounding would leave no channel.
            raise BuildError(
                f"TorchPruning: no share of channels was found that leaves {self.macs:.0%} of the "
                f"multiply-accumulates with widths in steps of {_ROUND_TO}; raise macs"
            )
        return found


def pruned(model: nn.Module, inputs: Inputs, ratio: float) -> nn.Module:
    """Return a copy of `model` that the README's pruner has taken `ratio` of the channels from."""
    import torch
    import torch_pruning as tp

    smaller = copy.deepcopy(model)
    arguments = [torch.from_numpy(array) for array in inputs.values()]
    with torch.enable_grad():  # layers are connected by following autograd
        pruner = tp.pruner.BasePruner(
            smaller,
            arguments,
            importance=tp.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=ratio,
            ignored_layers=_classifiers(smaller, arguments),
            round_to=_ROUND_TO,
        )
        pruner.step()
    return smaller


def _classifiers(model: nn.Module, arguments: list[torch.Tensor]) -> list[nn.Linear]:
    """Return the linear layers as wide as the answer, which is how the README finds the last."""
    import torch

    with torch.no_grad():
        answer = model(*arguments)
    linear = [m for m in model.modules() if isinstance(m, torch.nn.Linear)]
    found = [m for m in linear if torch.is_tensor(answer) and m.out_features == answer.shape[-1]]
    if not found:
        raise Unsupported(
            f"TorchPruning: {type(model).__name__} has no linear classifier, which must keep its "
            f"outputs"
        )
    return found


def widths_of(model: nn.Module) -> dict[str, int]:
    """Return the outputs of each convolution and linear layer, by path."""
    from torch import nn

    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
    return {p: int(m.weight.shape[0]) for p, m in model.named_modules() if isinstance(m, kinds)}


def tune(smaller: nn.Module, whole: nn.Module, plan: SgdPlan | AdamPlan, ctx: PassContext) -> None:
    def report(at: TrainingProgress) -> None:
        ctx.progress(at.epoch * at.steps + at.step, plan.epochs * at.steps)

    path = ctx.checkpoint.with_suffix(".pt")
    fine_tune(smaller, ctx.train(), plan, teacher=whole, checkpoint=path, report=report)
