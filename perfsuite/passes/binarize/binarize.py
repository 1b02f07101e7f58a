"""Binary nets: convolutions of signs with signs, trained in two steps."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import msgspec

from perfsuite.domain.recipe import Edits, PassContext, Target
from perfsuite.domain.sensitivity import Changeable
from perfsuite.domain.task import UNTRAINED, Inputs, TrainingSet
from perfsuite.errors import Unsupported
from perfsuite.export.state import as_arrays, from_arrays, load
from perfsuite.passes.binarize.binarizable import Sites, binarizable
from perfsuite.passes.binarize.building import (
    check_runs,
    settle,
    settle_untrained,
    with_binary_activations,
    with_binary_weights,
)
from perfsuite.passes.binarize.packed import pack, with_packed
from perfsuite.passes.shared.invocation import teacher_of
from perfsuite.training.finetune import fine_tune
from perfsuite.training.loop import TrainingProgress
from perfsuite.training.plan import AdamPlan, SgdPlan

if TYPE_CHECKING:
    from torch import nn

# Adam, because gradients that pass straight through a sign are small; the teacher weighs much, as
# in ReActNet (Liu et al. 2020, arXiv:2003.03488). Latent weights do not decay in the second step:
# their magnitudes are no longer those of the net's weights.
ACTIVATIONS = AdamPlan(
    epochs=40,
    batch=128,
    peak_rate=2e-3,
    weight_decay=1e-5,
    label_smoothing=0.0,
    teacher=0.9,
)
WEIGHTS = msgspec.structs.replace(ACTIVATIONS, weight_decay=0.0)


Step = Literal["activations", "weights"]


class Binarize(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Trains a net whose convolutions are of signs, with weights of one bit, in the model's place.

    All convolutions become binary but the first and the last layers of the net, depthwise ones and
    those that the edits name with the reason; `layers` limits it to paths of modules, or patterns
    of such. Linear layers stay real. Each binary convolution has a threshold for each channel of
    its input, a scale for each channel of its result, and a shortcut around it and the batch
    normalization after it where shapes allow and the net has none; a ReLU after it becomes a PReLU
    with shifts.

    The net is trained twice, both times with the workload's net before all passes as its teacher,
    whose answers weigh as the field `teacher` of the plan says: by the plan `activations` with
    weights that are still real, and from there by the plan `weights` with binary weights. With
    `untrained` neither is done: the net is there to be timed, and its results bear a label that
    says so.
    """

    activations: SgdPlan | AdamPlan = ACTIVATIONS
    weights: SgdPlan | AdamPlan = WEIGHTS
    layers: tuple[str, ...] = ()
    untrained: bool = False

    version: ClassVar[int] = 1
    once: ClassVar[bool] = True
    kernels: ClassVar[tuple[str, ...]] = ("binary",)
    profiled_with: ClassVar[Mapping[str, Any]] = {"untrained": True}  # times are all that is asked

    def resolve(self, target: Target) -> str:
        """Return '': nothing of the target changes the result."""
        return ""

    def fit(self, model: nn.Module, ctx: PassContext) -> Edits:
        """Return all tensors of the binary net, weights as bits; `data` says where they belong.

        `data` is `{"layers": {path: {"norm", "shortcut"}}, "activations": {path: channels},
        "left": {path: reason}}`. Raises `Unsupported` for a model without a convolution that can be
        binary, and for a task without training samples; `ConfigError` for `layers` that are not
        there; `BuildError` where a training diverges.
        """
        sites = binarizable(model, ctx.inputs, self.layers)
        told = msgspec.json.decode(msgspec.json.encode(sites))  # with lists, as JSON has them
        data = {**told, "labels": [UNTRAINED] * self.untrained}
        if self.untrained:
            with_binary_activations(model, sites)
            check_runs(model, ctx.inputs)
            settle_untrained(model, ctx.inputs)
            with_binary_weights(model)
        else:
            self._train(model, ctx)
        pack(model)
        return Edits(data, as_arrays(model))

    def rebuild(self, model: nn.Module, edits: Edits) -> nn.Module:
        """Return `model`, freshly built, as the binary net with the edits' tensors."""
        sites = msgspec.convert(
            {name: edits.data[name] for name in ("layers", "activations", "left")}, Sites
        )
        with_packed(model, sites)
        load(model, from_arrays(model, edits.tensors))
        return model

    def changeable(self, model: nn.Module, ctx: PassContext) -> Changeable:
        """Return the convolutions that can be binary, and why other layers cannot."""
        sites = binarizable(model, ctx.inputs)
        return Changeable(tuple(sites.layers), sites.left)

    def first_step(self, model: nn.Module, inputs: Inputs, data: TrainingSet) -> nn.Module:
        """Return `model` as the first step trains it: binary activations, weights still real.

        `inputs` are those of a call, and `data` what it will be trained on.
        """
        made = with_binary_activations(model, binarizable(model, inputs, self.layers))
        check_runs(made, inputs)
        settle(made, data, self.activations)
        return made

    def second_step(self, module: nn.Module) -> nn.Module:
        """Return what the first step has trained as the second trains it: with binary weights."""
        return with_binary_weights(module)

    def _train(self, model: nn.Module, ctx: PassContext) -> None:
        """Train `model` in both steps; one that is done is read from its checkpoint."""
        try:
            data = ctx.train()
        except Unsupported as error:
            raise Unsupported(
                f"binarize: {error}; without them a binary net can be timed only "
                f"(untrained = true), and int8, which needs no training, compresses the model as "
                f"it is"
            ) from error
        teacher = teacher_of(model, ctx)
        self.first_step(model, ctx.inputs, data)
        # The second step's checkpoint holds all that the first has trained, and is enough.
        if _checkpoint(ctx, "activations").exists() or not _checkpoint(ctx, "weights").exists():
            self._step(model, teacher, data, ctx, "activations")
        self.second_step(model)
        self._step(model, teacher, data, ctx, "weights")

    def _step(
        self,
        model: nn.Module,
        teacher: nn.Module,
        data: TrainingSet,
        ctx: PassContext,
        step: Step,
    ) -> None:
        plan = self.activations if step == "activations" else self.weights
        before = 0 if step == "activations" else self.activations.epochs

        def report(at: TrainingProgress) -> None:
            epochs = self.activations.epochs + self.weights.epochs
            ctx.progress((before + at.epoch) * at.steps + at.step, epochs * at.steps)

        fine_tune(
            model,
            data,
            plan,
            teacher=teacher,
            checkpoint=_checkpoint(ctx, step),
            report=report,
            say=ctx.say,
        )


def _checkpoint(ctx: PassContext, step: Step) -> Path:
    return ctx.checkpoint.with_name(f"{ctx.checkpoint.name}.{step}.pt")
