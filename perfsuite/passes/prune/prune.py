"""Structured pruning: whole channels are removed, so that the net is faster on its engine."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict

import msgspec
import numpy as np

from perfsuite.domain.recipe import Edits, PassContext, Target
from perfsuite.domain.sensitivity import Changeable
from perfsuite.domain.task import gives_samples
from perfsuite.errors import BuildError, Unsupported
from perfsuite.export.calls import evaluated
from perfsuite.export.state import as_arrays
from perfsuite.passes.prune import importance
from perfsuite.passes.prune.channels import Group
from perfsuite.passes.prune.costs import Costs, Widths, costs_of
from perfsuite.passes.prune.importance import GroupWidth, Scores
from perfsuite.passes.prune.prunable import prunable
from perfsuite.passes.prune.reconstruction import reconstruct
from perfsuite.passes.prune.surgery import (
    absent,
    attributes_of,
    channels_kept,
    cut,
    load,
    set_attributes,
)
from perfsuite.passes.prune.timing import group_times, lanes, smooth
from perfsuite.passes.prune.training_trial import untrainable
from perfsuite.passes.prune.width_search import (
    ByClock,
    Scope,
    Share,
    coarse,
    keep_best,
    pooled,
    solve,
    tried,
    uniform,
)
from perfsuite.passes.shared.goals import check_target
from perfsuite.passes.shared.invocation import copied, teacher_of
from perfsuite.passes.shared.saved_choice import clock_identity, load_or_choose
from perfsuite.training.finetune import fine_tune
from perfsuite.training.loop import TrainingProgress
from perfsuite.training.plan import AdamPlan, SgdPlan

if TYPE_CHECKING:
    from torch import nn

# The label of a cell whose task has no training samples, so that its default is another one.
WITHOUT_TRAINING = "pruned by weights (no training samples)"
_TRIES = 8  # whole nets that are timed until one is as fast as asked
_LEAST_PROGRESS = 0.97  # the cost of each of them, relative to the one before, is at most this


class _PruneChoice(TypedDict):
    groups: list[Group]
    kept: dict[str, list[int]]
    left: dict[str, str]


class Prune(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Removes the least important channels of convolutions and linear layers.

    Exactly one of three fields says how many: `ratio`, the share of channels to remove; `macs`, the
    share of multiply-accumulates to keep; `speedup`, how many times as fast the net must become on
    the engine that it is pruned for. With `scope = "clock"` the layers are chosen by the importance
    lost for each second gained on that engine, and whole residual branches may be removed.
    "uniform" removes the same share from all layers, "global" the least important channels of all;
    both keep multiples of `round_to`. `layers` limits this to paths of modules, or patterns of
    such.

    `runtime` names the runtime that it is pruned for, if not that of each cell: one net for all.
    `importance` is "l2", "taylor" or "bn" (see `importance.py`); "auto" is "taylor", and "l2" for
    a task without training samples, which a label of the cell then says. After the cut, the
    weights that stay are fitted without labels to `reconstruct` calibration samples, layer by layer
    (see `perfsuite.passes.prune.reconstruction`), and `finetune` trains the net, with the
    workload's net before all passes as its teacher. With more than one of `steps`, all this is
    repeated, and each step goes an equal factor towards the target.
    """

    ratio: float | None = None
    macs: float | None = None
    speedup: float | None = None
    scope: Scope = "clock"
    importance: Literal["auto", "bn", "l2", "taylor"] = "auto"
    layers: tuple[str, ...] = ()
    round_to: int = 1
    steps: int = 1
    reconstruct: int = 0
    finetune: SgdPlan | AdamPlan | None = None
    runtime: str = ""

    version: ClassVar[int] = 2
    profiled_with: ClassVar[Mapping[str, Any]] = {"macs": 0.5, "scope": "uniform"}

    def __post_init__(self) -> None:
        check_target(ratio=self.ratio, macs=self.macs, speedup=self.speedup)
        for name in ("round_to", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 1")
        if self.reconstruct < 0:
            raise ValueError(f"reconstruct is {self.reconstruct}; it must be at least 0")
        if self.scope == "clock" and self.round_to != 1:
            raise ValueError(
                "round_to is for scope 'uniform' and 'global'; the clock rounds by itself"
            )

    @property
    def calibrates(self) -> int:
        """Return how many calibration samples are asked for."""
        return self.reconstruct

    def settled(self, *, trains: bool) -> tuple[Prune, str]:
        """Return the pass with its importance decided, and a label if that is not the usual one.

        Decided, it has the key of one that names it.
        """
        if self.importance != "auto":
            return self, ""
        criterion, label = ("taylor", "") if trains else ("l2", WITHOUT_TRAINING)
        return msgspec.structs.replace(self, importance=criterion), label

    def resolve(self, target: Target) -> str:
        """Return, as text, all that measured times depend on; '' if none are measured."""
        listens = self.scope == "clock" or self.speedup is not None
        return clock_identity(target) if listens else ""

    def fit(self, model: nn.Module, ctx: PassContext) -> Edits:
        """Return the channels kept, by layer, and all tensors of the pruned net.

        `data` is `{"kept": {path: channels}, "removed": paths, "left": {path: reason}}`, and, where
        modules count channels, `"attributes": {"path.groups": number}`. Raises `Unsupported` for a
        model that cannot be traced or has nothing to prune, `ConfigError` for
        `layers` that are not there, `BuildError` where the target cannot be reached.
        """
        teacher = teacher_of(model, ctx) if self.finetune else None
        kept: dict[str, np.ndarray] = {}
        removed: set[str] = set()
        left: dict[str, str] = {}
        attributes: dict[str, int] = {}
        for step in range(self.steps):
            # A training that goes on after a stop must have the shapes that it began with.
            path = ctx.checkpoint.with_suffix(f".step{step}.json")
            choice = load_or_choose(path, _PruneChoice, partial(self._choose, model, ctx))
            groups, now = choice["groups"], choice["kept"]
            stay = channels_kept(model, groups, now)
            for layer, channels in stay.items():
                places = np.asarray(channels, dtype=int)
                kept[layer] = kept[layer][places] if layer in kept else places
            left = choice["left"]
            trained = ctx.checkpoint.with_suffix(f".step{step}.pt")
            fits = self.reconstruct > 0 and not trained.exists()
            uncut = evaluated(copied(model)) if fits else None
            removed.update(cut(model, groups, now))
            attributes |= attributes_of(model, groups)
            if uncut is not None:
                # To the net before this step: the whole net has not learned in the steps before.
                samples = list(ctx.calibration(self.reconstruct))
                reconstruct(model, uncut, stay, samples, ctx.progress)
            self._tune(model, teacher, ctx, step, trained)
        layers = {path: channels.tolist() for path, channels in kept.items()}
        data = {"kept": layers, "removed": sorted(removed), "left": left}
        if attributes:
            data["attributes"] = attributes
        return Edits(data, as_arrays(model))

    def rebuild(self, model: nn.Module, edits: Edits) -> nn.Module:
        """Return `model` with the shapes and the values of the edits' tensors."""
        absent(model, edits.data["removed"])
        set_attributes(model, edits.data.get("attributes", {}))
        load(model, edits.tensors)
        return model

    def changeable(self, model: nn.Module, ctx: PassContext) -> Changeable:
        """Return the layers whose channels can be removed, each with those that share them."""
        groups, left = prunable(model.eval(), ctx, ())
        return Changeable(tuple(dict.fromkeys(group.layer for group in groups)), left)

    def _choose(self, model: nn.Module, ctx: PassContext) -> _PruneChoice:
        """Return the groups to cut, their channels that stay, and why other layers are left."""
        model.eval()
        if self.importance == "auto":  # nobody has settled it
            return self.settled(trains=gives_samples(ctx.train))[0]._choose(model, ctx)
        groups, left = prunable(model, ctx, self.layers)
        if self.finetune is not None:
            groups = _trainable(model, groups, left, ctx)
        scores = self._scores(model, groups, ctx)
        costs = costs_of(model, ctx.inputs, groups)
        widths = self._widths(model, groups, costs, scores, ctx)
        kept = keep_best(scores, {n: w for n, w in widths.items() if w < costs.full[n]})
        narrowed = [group for group in groups if group.name in kept]
        return {"groups": narrowed, "kept": kept, "left": left}

    def _scores(self, model: nn.Module, groups: list[Group], ctx: PassContext) -> Scores:
        if self.importance != "taylor":
            return (importance.l2 if self.importance == "l2" else importance.bn)(model, groups)
        try:
            data = ctx.train()
        except Unsupported as error:
            raise Unsupported(
                f"prune: importance 'taylor' follows from training samples: {error}; or ask for "
                f'importance = "l2", which needs none'
            ) from error
        return importance.taylor(model, groups, data)

    def _widths(
        self, model: nn.Module, groups: list[Group], costs: Costs, scores: Scores, ctx: PassContext
    ) -> dict[str, int]:
        """Return the widths that reach the target of one step; a speed-up is measured."""
        narrowed = self._narrower(model, costs, scores, ctx)
        if self.speedup is None:
            share = self.macs if self.macs is not None else 1 - (self.ratio or 0.0)
            return narrowed(share ** (1 / self.steps))
        wanted = self.speedup ** (1 / self.steps)
        limit = asked = 1 / wanted
        reached = 1.0
        for _ in range(_TRIES):
            asked, widths = limit, narrowed(limit)
            smaller = copied(model)
            cut(smaller, groups, keep_best(scores, widths))
            before_s, after_s = ctx.latency_s([(model, ctx.inputs), (smaller, ctx.inputs)])
            reached = before_s / after_s
            if reached >= wanted:
                return widths
            limit *= min(reached / wanted, _LEAST_PROGRESS)
        raise BuildError(
            f"prune: a speed-up of {wanted:.2f}x is asked for, and with {asked:.1%} of the cost "
            f"the net is {reached:.2f}x as fast on {ctx.target.runtime}; ask for less"
        )

    def _narrower(
        self, model: nn.Module, costs: Costs, scores: Scores, ctx: PassContext
    ) -> Callable[[float], dict[str, int]]:
        """Return a function from a share of the whole cost to the widths that cost as much."""
        measure = costs.channels if self.ratio is not None else costs.macs
        full = measure(costs.full)

        def cost(widths: Widths) -> float:
            return measure(widths) / full

        if self.scope == "clock":
            return self._by_clock(model, costs, scores, ctx, cost)

        def make(share: float) -> dict[str, int]:
            if self.scope == "uniform":
                return uniform(costs, share, self.round_to)
            return pooled(costs, scores, share, self.round_to)

        return lambda limit: solve(make, cost, limit, coarse(costs, self.round_to))

    def _by_clock(
        self, model: nn.Module, costs: Costs, scores: Scores, ctx: PassContext, cost: Share
    ) -> Callable[[float], dict[str, int]]:
        wanted = {name: tried(costs, name) for name in costs.full}
        times_s = group_times(model, costs, ctx, wanted)
        times_s = smooth(times_s, lanes(times_s, costs.each), costs.each)
        by_clock = ByClock(costs, self._lost(model, costs, scores, ctx, times_s), times_s)
        if self.speedup is None:
            return lambda limit: by_clock.narrow(lambda: cost(by_clock.widths), limit)
        (whole_s,) = ctx.latency_s([(model, ctx.inputs)])
        return lambda limit: by_clock.narrow(lambda: 1 - by_clock.gained_s / whole_s, limit)

    def _lost(
        self,
        model: nn.Module,
        costs: Costs,
        scores: Scores,
        ctx: PassContext,
        places: Iterable[GroupWidth],
    ) -> dict[GroupWidth, float]:
        """Return the importance lost at each width; by "taylor" it is the measured loss."""
        widths: dict[str, list[int]] = {}
        for name, width in places:
            widths.setdefault(name, []).append(width)
        groups = list(costs.groups.values())
        if self.importance != "taylor":
            return importance.sums(groups, scores, widths)
        return importance.losses(model, groups, scores, widths, ctx.train(), ctx.progress)

    def _tune(
        self,
        model: nn.Module,
        teacher: nn.Module | None,
        ctx: PassContext,
        step: int,
        checkpoint: Path,
    ) -> None:
        plan = self.finetune
        if plan is None:
            return

        def report(at: TrainingProgress) -> None:
            done = (step * plan.epochs + at.epoch) * at.steps + at.step
            ctx.progress(done, self.steps * plan.epochs * at.steps)

        fine_tune(
            model,
            ctx.train(),
            plan,
            teacher=teacher,
            checkpoint=checkpoint,
            report=report,
            say=ctx.say,
        )


def _trainable(
    model: nn.Module, groups: list[Group], left: dict[str, str], ctx: PassContext
) -> list[Group]:
    """Return the groups that training can do without, and add why others are `left`.

    Raises `Unsupported` if there are none.
    """
    refused = untrainable(model, groups, ctx.train())
    for group in groups:
        if group.name in refused:
            left |= dict.fromkeys(group.paths("out"), refused[group.name])
    if len(refused) == len(groups):
        raise Unsupported(
            f"prune: no layer of {type(model).__name__} can be pruned and trained: "
            f"{next(iter(refused.values()))}"
        )
    return [group for group in groups if group.name not in refused]
