"""Which layers are factorized, and to which ranks: what the engine's clock says that it pays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from perfsuite.domain.recipe import PassContext
from perfsuite.passes.lowrank import factorization
from perfsuite.passes.lowrank.factor_modules import (
    Method,
    Ranks,
    array_of,
    kind_of,
    largest_ranks,
    macs,
    sequence,
)
from perfsuite.passes.shared.layers import Layer, Shape

# Alternating medians of one process differ by two or three percent for nothing, and what is gained
# in a layer is partly lost where the engine had fused it with its neighbours.
PAYS = 1.05
# Blocked kernels work on 8 or 16 channels at a time, and on a whole block where there are fewer.
_BLOCKS = (8, 16)
# Of a layer's multiply-accumulates, where a target and no energy says what to keep.
_LADDER = (0.1, 0.2, 0.3, 0.4, 0.55, 0.7)
# CP has as many components as a weight has channels for a few percent of them already; each rank is
# found by iteration, at a cost in proportion to it.
_LADDER_CP, _BLOCKS_CP = (0.05, 0.1, 0.15, 0.2, 0.3, 0.45), (16,)
_ROUNDS_CP = 8  # of ALS, to compare ranks by; the factors themselves get more


@dataclass(frozen=True)
class Option:
    """A layer with certain ranks, or with none as it is.

    `macs` and `seconds` are those of all its calls in one call of the net; `lost` is the share of
    its weights' energy.
    """

    ranks: Ranks
    macs: float
    seconds: float
    lost: float


@dataclass
class Menu:
    """What may be done with one layer: `options` are those that pay, the fastest first.

    `best` is the fastest of all, None where no ranks save any multiply-accumulate.
    """

    layer: Layer
    whole: Option
    options: list[Option] = field(default_factory=list)
    best: Option | None = None

    def speedup(self, option: Option) -> float:
        """Return how many times as fast as the layer an option is."""
        return self.whole.seconds / option.seconds


Choice = dict[str, Option]  # by path; a layer that is not in it stays as it is


def menus(
    layers: Sequence[Layer],
    method: Method,
    energy: float | None,
    ctx: PassContext,
    cold_bytes: int,
) -> list[Menu]:
    """Return a menu a layer, timed by the engine's clock.

    Without `energy` the ranks are a ladder by the multiply-accumulates that they keep. Layers of
    one shape are timed once; all their candidates take turns with the layer itself.
    """
    ranks = {layer.path: _ranks(layer, method, energy) for layer in layers}
    groups: dict[object, list[Layer]] = {}
    for layer in layers:
        groups.setdefault(_signature(layer), []).append(layer)
    found = {}
    for done, group in enumerate(groups.values()):
        ctx.progress(done, len(groups))
        wanted = sorted({each for layer in group for each in ranks[layer.path]})
        times = _timed(group[0], wanted, method, ctx, cold_bytes)
        for layer in group:
            found[layer.path] = _menu(layer, ranks[layer.path], times, method, energy)
    ctx.progress(len(groups), len(groups))
    return [found[layer.path] for layer in layers]


def fastest(menu_list: Iterable[Menu]) -> Choice:
    """Return the fastest option of every layer that has one that pays."""
    return {menu.layer.path: menu.options[0] for menu in menu_list if menu.options}


def steps(menu_list: Sequence[Menu]) -> Iterator[Choice]:
    """Yield ever faster choices, from the net as it is until nothing more pays.

    Each makes one layer faster: the one where least energy is lost for a second gained. The shares
    lost by layers are comparable, since in a chain of layers noise-to-signal ratios add up.
    """
    choice: Choice = {}
    yield choice
    while moves := list(_moves(menu_list, choice)):
        path, option = min(moves, key=lambda move: _price(menu_list, choice, *move))
        choice = {**choice, path: option}
        yield choice


def within_macs(menu_list: Sequence[Menu], limit: float, net_macs: int) -> Choice | None:
    """Return the first of `steps` whose net has at most `limit` MACs, None if none has.

    Of all ways to take the last step, it is the one that loses least.
    """

    def left(choice: Choice) -> float:
        saved = (
            menu.whole.macs - choice[menu.layer.path].macs
            for menu in menu_list
            if menu.layer.path in choice
        )
        return net_macs - sum(saved)

    before: Choice = {}
    for choice in steps(menu_list):
        if left(choice) <= limit:
            last = [{**before, path: option} for path, option in _moves(menu_list, before)]
            enough = [each for each in last if left(each) <= limit]
            return min(enough, key=lambda each: sum(o.lost for o in each.values()), default=choice)
        before = choice
    return None


def within_speedup(
    menu_list: Sequence[Menu], wanted: float, speedup: Callable[[Choice], float]
) -> tuple[Choice | None, float]:
    """Return the earliest of `steps` that makes the whole net `wanted` times as fast.

    `speedup` measures a choice in the net. Beside it stands what was measured; where even the last
    step is too slow, it comes with None. A search for the earliest finds the luckiest measurement
    too, so what it finds must reach the target once more.
    """
    path = list(steps(menu_list))
    reached = speedup(path[-1])
    if reached < wanted:
        return None, reached
    low, high = 0, len(path) - 1  # the net as it is is too slow, the last step is fast enough
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if speedup(path[middle]) >= wanted else (middle, high)
    for choice in path[high:]:
        reached = speedup(choice)
        if reached >= wanted:
            return choice, reached
    return None, reached


def _moves(menu_list: Iterable[Menu], choice: Choice) -> Iterator[tuple[str, Option]]:
    for menu in menu_list:
        now = choice.get(menu.layer.path, menu.whole)
        for option in menu.options:
            if option.seconds < now.seconds and option.macs < now.macs:
                yield menu.layer.path, option


def _price(menu_list: Iterable[Menu], choice: Choice, path: str, option: Option) -> float:
    """Return the energy lost for a second gained."""
    whole = next(menu.whole for menu in menu_list if menu.layer.path == path)
    now = choice.get(path, whole)
    return (option.lost - now.lost) / (now.seconds - option.seconds)


def _ranks(layer: Layer, method: Method, energy: float | None) -> list[Ranks]:
    """Return the ranks to try, those alone that save multiply-accumulates."""
    kind = kind_of(layer.module, method)
    blocks: tuple[int, ...]
    if energy is not None and kind != "cp":
        raw = [_ranks_for_energy(layer, method, energy)]
        blocks = (1, *_BLOCKS)
    else:
        ladder = _LADDER_CP if kind == "cp" else _LADDER
        raw = [_ranks_for_macs(layer, method, share * _macs(layer, (), method)) for share in ladder]
        blocks = _BLOCKS_CP if kind == "cp" else _BLOCKS
    most = largest_ranks(layer.module, method)
    snapped = {
        tuple(
            min(end, math.ceil(rank / block) * block) for rank, end in zip(each, most, strict=True)
        )
        for each in raw
        for block in blocks
    }
    return sorted(each for each in snapped if _macs(layer, each, method) < _macs(layer, (), method))


def _ranks_for_energy(layer: Layer, method: Method, energy: float) -> Ranks:
    """Return the smallest ranks that surely keep `energy`.

    Tucker-2 loses at most what its two truncations lose (De Lathauwer, De Moor and Vandewalle
    2000), so each may lose half.
    """
    weight = array_of(layer.module)
    if kind_of(layer.module, method) == "matrix":
        matrix = factorization.unfold(weight, 0)
        narrow = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
        return (factorization.rank_for(factorization.spectrum(narrow)[0], energy),)
    each = (1 + energy) / 2
    energies = (factorization.spectrum(factorization.unfold(weight, axis))[0] for axis in (0, 1))
    return tuple(factorization.rank_for(one, each) for one in energies)


def _ranks_for_macs(layer: Layer, method: Method, limit: float) -> Ranks:
    """Return the ranks, both the same share of the channels, that take about `limit` MACs."""
    if kind_of(layer.module, method) != "tucker":
        return (max(1, int(limit // _macs(layer, (1,), method))),)
    rows, columns = largest_ranks(layer.module, method)
    low, high = 0.0, 1.0
    for _ in range(20):  # a millionth is finer than any rank
        share = (low + high) / 2
        fits = _macs(layer, _shares(share, rows, columns), method) <= limit
        low, high = (share, high) if fits else (low, share)
    return _shares(low, rows, columns)


def _shares(share: float, rows: int, columns: int) -> Ranks:
    return max(1, round(share * rows)), max(1, round(share * columns))


def _macs(layer: Layer, ranks: Ranks, method: Method) -> int:
    """Return the multiply-accumulates of the layer's largest call; without ranks, as it is."""
    if not ranks:
        return layer.macs_of(layer.largest_call, layer.inside, layer.outside)
    return macs(layer.module, ranks, method, *layer.largest_call)


def _signature(layer: Layer) -> tuple[str, Shape]:
    """Return the geometry and the input of a layer: layers that share these take the same time."""
    return repr(layer.module), layer.largest_call.given


def _timed(
    layer: Layer, wanted: Sequence[Ranks], method: Method, ctx: PassContext, cold_bytes: int
) -> dict[Ranks, float]:
    """Return the seconds of one call by ranks; those of the layer itself have none."""
    if not wanted:
        return {}
    shape = layer.largest_call.given
    inputs = {"input": np.random.default_rng(0).normal(size=shape).astype(np.float32)}
    modules = [layer.module, *(sequence(layer.module, ranks, method) for ranks in wanted)]
    seconds = ctx.latency_s([(module, inputs) for module in modules], cold_bytes=cold_bytes)
    return dict(zip(((), *wanted), seconds, strict=True))


def _menu(
    layer: Layer,
    ranks: Sequence[Ranks],
    times: dict[Ranks, float],
    method: Method,
    energy: float | None,
) -> Menu:
    whole_macs = _macs(layer, (), method)
    # A head that runs over five levels of a pyramid makes perhaps 1.3 calls of its largest size.
    calls = layer.macs(layer.inside, layer.outside) / whole_macs

    def option(each: Ranks, lost: float) -> Option:
        return Option(each, _macs(layer, each, method) * calls, times[each] * calls, lost)

    if not ranks:
        return Menu(layer, Option((), whole_macs * calls, 0.0, 0.0))
    whole = option((), 0.0)
    tried = sorted(ranks, key=lambda each: times[each])
    paying = [each for each in tried if times[each] * PAYS <= times[()]]
    lost = _lost(layer, paying, method)
    options = [option(each, lost[each]) for each in paying]
    # Of CP no rank is known to keep an energy before it is tried.
    kept = [each for each in options if energy is None or each.lost <= 1 - energy + 1e-9]
    return Menu(layer, whole, kept, option(tried[0], float("nan")))


def _lost(layer: Layer, ranks: Sequence[Ranks], method: Method) -> dict[Ranks, float]:
    """Return the share of the energy that is lost, by ranks."""
    if not ranks:
        return {}
    weight, kind = array_of(layer.module), kind_of(layer.module, method)
    if kind == "cp":
        return {each: factorization.cp(weight, each[0], _ROUNDS_CP).lost for each in ranks}
    table: np.ndarray = (
        factorization.lost_by_rank(factorization.unfold(weight, 0))
        if kind == "matrix"
        else factorization.lost_by_ranks(weight)
    )
    return {each: float(table[each]) for each in ranks}
