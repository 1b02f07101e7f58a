"""Low rank: layers become products of smaller ones where these are faster on the engine."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, TypedDict

import msgspec
import numpy as np

from perfsuite.domain.recipe import Edits, PassContext, Target
from perfsuite.domain.sensitivity import Changeable
from perfsuite.domain.task import Inputs
from perfsuite.errors import Unsupported
from perfsuite.export.state import as_arrays, from_arrays, load
from perfsuite.passes.lowrank.factor_modules import (
    Method,
    Ranks,
    fill,
    replace,
    sequence,
    weights,
)
from perfsuite.passes.lowrank.factorizable import Factorizable, check_answers, factorizable, limited
from perfsuite.passes.lowrank.rank_search import (
    PAYS,
    Choice,
    Menu,
    fastest,
    menus,
    within_macs,
    within_speedup,
)
from perfsuite.passes.shared.goals import check_target
from perfsuite.passes.shared.invocation import call, copied, teacher_of
from perfsuite.passes.shared.layers import why_no_layers
from perfsuite.passes.shared.saved_choice import clock_identity, load_or_choose
from perfsuite.training.finetune import fine_tune
from perfsuite.training.loop import AdamPlan, SgdPlan, TrainingProgress

if TYPE_CHECKING:
    from torch import nn

_SAMPLES = 4  # besides the timed inputs, on which factors are tried

_Weights = Callable[["nn.Module", Ranks], Mapping[str, np.ndarray]]


class _Taken(TypedDict):
    ranks: list[int]
    lost: float
    speedup: float


class _LowrankChoice(TypedDict):
    layers: dict[str, _Taken]
    left: dict[str, str]


class Lowrank(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Replaces linear layers and convolutions by their factors where these are faster.

    Exactly one of these fields says how far to go:

    - `energy`: the share of the squared singular values that every factorized layer keeps; each
      layer takes the fastest ranks that keep it.
    - `macs`: the share of the whole net's multiply-accumulates to keep.
    - `speedup`: how many times as fast the whole net must become on the engine.

    For the last two, layers are factorized in the order of the energy lost for each second gained.
    A linear layer or 1x1 convolution becomes two layers by truncated SVD; another convolution
    becomes three by Tucker-2 (Kim et al. 2016, arXiv:1511.06530) or four by CP (Lebedev et al.
    2015, arXiv:1412.6553), as `method` says. Ranks are tried as they are and rounded up to
    multiples of 8 and 16. Grouped and transposed convolutions, layers that share weights, and
    layers that are not faster for it stay as they are. `layers` limits it to paths of modules, or
    patterns of such.

    `finetune` trains the factors afterwards, by a plan such as `{ optimizer = "sgd", epochs = 4,
    peak_rate = 0.02, teacher = 0.5 }`; the teacher is the workload's net before all passes.
    `runtime` names the runtime whose clock decides, if not that of each cell: one net for all.

    A layer also stays if the net answers samples otherwise with some factors in its place than with
    their product as its weight: code that asks what a layer is would compute something else.
    """

    energy: float | None = None
    macs: float | None = None
    speedup: float | None = None
    method: Method = "tucker"
    finetune: SgdPlan | AdamPlan | None = None
    runtime: str = ""
    layers: tuple[str, ...] = ()

    version: ClassVar[int] = 3
    profiled_with: ClassVar[Mapping[str, Any]] = {"macs": 0.5}
    added: ClassVar[tuple[str, ...]] = ("layers",)

    def __post_init__(self) -> None:
        check_target(energy=self.energy, macs=self.macs, speedup=self.speedup)

    def resolve(self, target: Target) -> str:
        """Return, as text, all that measured times depend on."""
        return clock_identity(target)

    def fit(self, model: nn.Module, ctx: PassContext) -> Edits:
        """Return the ranks by layer, the other layers with the reason, and all weights.

        `data` is `{"layers": {path: {"ranks", "lost", "speedup"}}, "left": {path: reason}}`. `lost`
        is the share of the layer's energy that its factors miss, as estimated when ranks were
        compared, and `speedup` is that of the layer alone.

        Raises `Unsupported` if no layer can be factorized, if none is faster for it, and if the
        target is out of reach; `BuildError` for weights that are not finite.
        """
        factorize: _Weights = functools.cache(
            functools.partial(weights, method=self.method)  # so that trials share their factors
        )
        path = ctx.checkpoint.with_name(f"{ctx.checkpoint.name}.ranks.json")
        data = load_or_choose(path, _LowrankChoice, lambda: self._choose(model, ctx, factorize))
        before = call(model, ctx.inputs)
        teacher = teacher_of(model, ctx) if self.finetune else None
        module = self._factorized(model, _ranks(data), factorize)
        check_answers(module, ctx.inputs, before)
        if self.finetune:
            _fine_tune(module, teacher, self.finetune, ctx)
        return Edits(dict(data), as_arrays(module))

    def rebuild(self, model: nn.Module, edits: Edits) -> nn.Module:
        """Return `model`, freshly built, with the edits applied."""
        for path, ranks in _ranks(edits.data).items():
            layer = model.get_submodule(path)
            model = replace(model, path, sequence(layer, ranks, self.method))
        load(model, from_arrays(model, edits.tensors))
        return model

    def changeable(self, model: nn.Module, ctx: PassContext) -> Changeable:
        """Return the layers that can be factorized; whether one is faster for it, `fit` finds."""
        found = factorizable(model, _samples(ctx), self.method)
        return Changeable(tuple(layer.path for layer in found.layers), found.left)

    def _choose(self, model: nn.Module, ctx: PassContext, factorize: _Weights) -> _LowrankChoice:
        """Return the edits' data."""
        found = factorizable(model, _samples(ctx), self.method)
        if self.layers:
            found = limited(model, found, self.layers)
        who = f"lowrank on {type(model).__name__}"
        if not found.layers:
            what = _named(found.left) or why_no_layers(model)
            raise Unsupported(f"{who}: none of its layers can be factorized: {what}")
        cold = sum(weight.numel() * weight.element_size() for weight in model.parameters())
        menu_list = menus(found.layers, self.method, self.energy, ctx, cold)
        if not any(menu.options for menu in menu_list):
            why = _nothing_pays(menu_list, ctx.target, self.energy)
            raise Unsupported(f"{who}: {why}{_left_alone(found.left)}")
        choice = self._target(who, model, ctx, factorize, found, menu_list)
        taken: dict[str, _Taken] = {
            menu.layer.path: {
                "ranks": list(option.ranks),
                "lost": option.lost,
                "speedup": menu.speedup(option),
            }
            for menu in menu_list
            if (option := choice.get(menu.layer.path))
        }
        spared = {
            menu.layer.path: _why_not(menu, self.energy)
            for menu in menu_list
            if menu.layer.path not in taken
        }
        return {"layers": taken, "left": {**found.left, **spared}}

    def _target(
        self,
        who: str,
        model: nn.Module,
        ctx: PassContext,
        factorize: _Weights,
        found: Factorizable,
        menu_list: list[Menu],
    ) -> Choice:
        """Return the choice of ranks that reaches the goal of the fields."""
        if self.macs is not None:
            choice = within_macs(menu_list, self.macs * found.macs, found.macs)
            if choice is None:
                raise Unsupported(
                    f"{who}: all that pays on {ctx.target.runtime} keeps more than {self.macs:.0%} "
                    f"of its {found.macs} MACs; ask for more of them, or prune it first"
                    f"{_left_alone(found.left)}"
                )
            return choice
        if self.speedup is None:
            return fastest(menu_list)

        def measured(choice: Choice) -> float:
            ranks = {path: option.ranks for path, option in choice.items()}
            changed = self._factorized(copied(model), ranks, factorize, model)
            pair = [(model, ctx.inputs), (changed, ctx.inputs)]
            before_s, after_s = ctx.latency_s(pair)
            return before_s / after_s

        choice, reached = within_speedup(menu_list, self.speedup, measured)
        if choice is None:
            raise Unsupported(
                f"{who}: with all that pays on {ctx.target.runtime} it is {reached:.2f}x as fast, "
                f"and {self.speedup:g}x was asked for; ask for less, or prune it first"
            )
        return choice

    def _factorized(
        self,
        model: nn.Module,
        ranks: Mapping[str, Ranks],
        factorize: _Weights,
        origin: nn.Module | None = None,
    ) -> nn.Module:
        """Return `model` with layers replaced by their factors.

        For a copy, `origin` is the original net, by whose layers factors are cached.
        """
        for path, each in ranks.items():
            layer = (origin or model).get_submodule(path)
            made = fill(sequence(layer, each, self.method), layer, factorize(layer, each))
            model = replace(model, path, made)
        return model


def _fine_tune(
    module: nn.Module, teacher: nn.Module | None, plan: SgdPlan | AdamPlan, ctx: PassContext
) -> None:
    def report(now: TrainingProgress) -> None:
        ctx.progress(now.epoch * now.steps + now.step, plan.epochs * now.steps)

    fine_tune(
        module,
        ctx.train(),
        plan,
        teacher=teacher,
        checkpoint=ctx.checkpoint,
        report=report,
        say=ctx.say,
    )


def _samples(ctx: PassContext) -> list[Inputs]:
    """Return the timed inputs and some other samples, for which the net may take another path."""
    try:
        return [ctx.inputs, *ctx.calibration(_SAMPLES)]
    except Unsupported:
        return [ctx.inputs]  # the task has no others


def _ranks(data: Mapping[str, Any]) -> dict[str, Ranks]:
    return {path: tuple(layer["ranks"]) for path, layer in data["layers"].items()}


def _named(paths: Mapping[str, str], at_most: int = 3) -> str:
    """Return `path: reason` of the first few, for a message."""
    shown = [f"{path or 'the model itself'}: {reason}" for path, reason in paths.items()]
    more = f"; and {len(shown) - at_most} more" if len(shown) > at_most else ""
    return "; ".join(itertools.islice(shown, at_most)) + more


def _left_alone(left: Mapping[str, str]) -> str:
    """Return which layers were never tried, with the reason of the first, to go on with."""
    return f". Left alone: {_named(left, 1)}" if left else ""


def _why_not(menu: Menu, energy: float | None) -> str:
    if menu.best is None:
        return "too small: no rank saves multiply-accumulates" + _keeping(energy)
    if menu.options:
        return "the target was reached without it"
    ratio = menu.speedup(menu.best)
    if ratio < PAYS:
        return f"factorized it is {ratio:.2f}x as fast"
    return f"no rank that is faster keeps {energy:g} of its energy"


def _keeping(energy: float | None) -> str:
    return "" if energy is None else f" and keeps {energy:g} of its energy"


def _nothing_pays(found: list[Menu], target: Target, energy: float | None) -> str:
    """Return the sentence for a net of which nothing is faster factorized."""
    timed = [(menu.speedup(menu.best), menu) for menu in found if menu.best is not None]
    if not timed:
        return f"no rank saves multiply-accumulates{_keeping(energy)} in any layer"
    ratio, menu = max(timed, key=lambda pair: pair[0])
    if ratio >= PAYS:
        return f"no rank that is faster on {target.runtime} keeps {energy:g} of a layer's energy"
    ranks = " and ".join(map(str, menu.best.ranks)) if menu.best else ""
    return (
        f"no layer is faster by {PAYS - 1:.0%} factorized on {target.runtime}{_keeping(energy)}: "
        f"the best is {ratio:.2f}x, {menu.layer.path or 'the model itself'} with rank {ranks}; "
        f'keep less, or expect it in the suite ([[expect]] with status = "unsupported")'
    )
