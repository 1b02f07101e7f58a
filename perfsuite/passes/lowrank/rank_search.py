"""Which layers are factorized, and to which ranks, by times measured on the engine."""

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

# The least speed-up of a layer that counts. Times of the same layer differ by two or three percent,
# and a part of the gain is lost where the engine had fused the layer with its neighbours.
PAYS = 1.05
# Kernels compute 8 or 16 channels at once, and take as long for fewer.
_BLOCKS = (8, 16)
# Shares of a layer's multiply-accumulates whose ranks are tried, if no `energy` is given.
_LADDER = (0.1, 0.2, 0.3, 0.4, 0.55, 0.7)
# The same for CP, fewer of them: each decomposition is found by iteration, and its rank is already
# as large as the number of channels at a few percent of the multiply-accumulates.
_LADDER_CP, _BLOCKS_CP = (0.05, 0.1, 0.15, 0.2, 0.3, 0.45), (16,)
_ROUNDS_CP = 8  # of alternating least squares, to compare ranks; the final factors get more


@dataclass(frozen=True)
class Option:
    """A layer factorized to `ranks`, or as it is, with ranks ().

    `macs` and `seconds` are those of all its calls in one call of the net; `lost` is the share of
    its weights' energy that the factors miss.
    """

    ranks: Ranks
    macs: float
    seconds: float
    lost: float


@dataclass
class Menu:
    """The options for one layer: `options` are those that are faster by `PAYS`, the fastest first.

    `whole` is the layer as it is. `best` is the fastest of all ranks that were tried; None if no
    ranks save multiply-accumulates.
    """

    layer: Layer
    whole: Option
    options: list[Option] = field(default_factory=list)
    best: Option | None = None

    def speedup(self, option: Option) -> float:
        """Return how many times as fast as the whole layer an option is."""
        return self.whole.seconds / option.seconds


Choice = dict[str, Option]  # by path; other layers stay as they are


def menus(
    layers: Sequence[Layer],
    method: Method,
    energy: float | None,
    ctx: PassContext,
    cold_bytes: int,
) -> list[Menu]:
    """Return a menu for each layer, with times measured on the engine.

    Without `energy`, the ranks to try keep fixed shares of the multiply-accumulates. Layers of the
    same shape are timed once, together with all their candidates, which take turns.
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
    """Return the fastest option of each layer, for those that have options."""
    return {menu.layer.path: menu.options[0] for menu in menu_list if menu.options}


def steps(menu_list: Sequence[Menu]) -> Iterator[Choice]:
    """Yield choices, each faster than the one before: from the net as it is to the fastest.

    Each step makes one layer faster, the one that loses the least energy for each second gained.
    The shares lost by different layers are comparable, because noise-to-signal ratios add up along
    a chain of layers.
    """
    choice: Choice = {}
    yield choice
    while moves := list(_moves(menu_list, choice)):
        path, option = min(moves, key=lambda move: _price(menu_list, choice, *move))
        choice = {**choice, path: option}
        yield choice


def within_macs(menu_list: Sequence[Menu], limit: float, net_macs: int) -> Choice | None:
    """Return the first of `steps` whose net has at most `limit` MACs; None if none has.

    For the last step, all moves that reach the limit are compared, and the one that loses the least
    energy is taken.
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
    """Return the first of `steps` that makes the net `wanted` times as fast, and its speed-up.

    `speedup` measures a choice in the whole net. If even the last step is too slow, None is
    returned with its speed-up. The step is found by bisection, which favours lucky measurements, so
    it must reach the target in a second measurement; otherwise the next steps are tried.
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
    """Yield the options that make a layer faster than in `choice`, with its path."""
    for menu in menu_list:
        now = choice.get(menu.layer.path, menu.whole)
        for option in menu.options:
            if option.seconds < now.seconds and option.macs < now.macs:
                yield menu.layer.path, option


def _price(menu_list: Iterable[Menu], choice: Choice, path: str, option: Option) -> float:
    """Return the energy lost for each second gained."""
    whole = next(menu.whole for menu in menu_list if menu.layer.path == path)
    now = choice.get(path, whole)
    return (option.lost - now.lost) / (now.seconds - option.seconds)


def _ranks(layer: Layer, method: Method, energy: float | None) -> list[Ranks]:
    """Return the ranks to try; all of them save multiply-accumulates."""
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
    """Return the smallest ranks for which a bound says that they keep `energy`.

    The loss of Tucker-2 is at most the sum of the losses of its two truncations (De Lathauwer, De
    Moor and Vandewalle 2000), so each may lose half.
    """
    weight = array_of(layer.module)
    if kind_of(layer.module, method) == "matrix":
        matrix = factorization.unfold(weight, 0)
        narrow = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
        return (factorization.rank_for(factorization.spectrum(narrow)[0], energy),)
    each = (1 + energy) / 2
    energies = (factorization.spectrum(factorization.unfold(weight, axis))[0] for axis in (0, 1))
    return tuple(factorization.rank_for(axis_energies, each) for axis_energies in energies)


def _ranks_for_macs(layer: Layer, method: Method, limit: float) -> Ranks:
    """Return the ranks that take about `limit` MACs; of two, each is the same share of channels."""
    if kind_of(layer.module, method) != "tucker":
        return (max(1, int(limit // _macs(layer, (1,), method))),)
    rows, columns = largest_ranks(layer.module, method)
    low, high = 0.0, 1.0
    for _ in range(20):  # to a millionth, less than one channel
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
    """Return the seconds of one call, by ranks; the layer as it is has the ranks ()."""
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
    # How much energy a rank of CP keeps is known only now.
    kept = [each for each in options if energy is None or each.lost <= 1 - energy + 1e-9]
    return Menu(layer, whole, kept, option(tried[0], float("nan")))


def _lost(layer: Layer, ranks: Sequence[Ranks], method: Method) -> dict[Ranks, float]:
    """Return the share of the energy that the factors miss, by ranks."""
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
