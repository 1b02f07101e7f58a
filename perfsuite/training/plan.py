"""Plans of a training: the optimizer, the schedule of its rate, and changes to the pictures.

The rate rises and falls linearly (Smith and Topin 2019, arXiv:1708.07120, "one cycle"), and may do
so several times (Loshchilov and Hutter 2017, arXiv:1608.03983, "warm restarts"). Optional are label
smoothing (Szegedy et al. 2016, arXiv:1512.00567), pictures that grow during training, so that early
epochs cost less (Touvron et al. 2019, arXiv:1906.06423), squares blanked in them (DeVries and
Taylor 2017, arXiv:1708.04552, "cutout") and the mean of the weights of the last epochs (Izmailov et
al. 2018, arXiv:1803.05407, "stochastic weight averaging").
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import msgspec


class SgdPlan(
    msgspec.Struct, frozen=True, tag_field="optimizer", tag="sgd", forbid_unknown_fields=True
):
    """A plan for SGD with Nesterov momentum.

    Every field changes the result, so all of them go on the model card. In a suite it is a table:
    `{ optimizer = "sgd", epochs = 4 }`.

    `sizes` are pairs (first epoch, side in pixels); without one, pictures keep their size.
    `restarts` are pairs (epoch, peak rate), at which the rate begins to rise again.
    `cutouts` are pairs (first epoch, side in pixels) of the square blanked in every picture.
    `averaging` is a pair (epoch, rate): from that epoch on the rate is constant, and the result is
    the mean of the weights after each step.
    `teacher` is the weight in the loss of a teacher's answers; in passes the teacher is the
    workload's net before all passes. A task whose loss is its own may only ask whether there is
    one.
    """

    epochs: int
    batch: int = 256
    peak_rate: float = 0.1
    warmup: float = 0.15
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    sizes: tuple[tuple[int, int], ...] = ()
    restarts: tuple[tuple[int, float], ...] = ()
    cutouts: tuple[tuple[int, int], ...] = ()
    averaging: tuple[int, float] | None = None
    bf16: bool = True
    seed: int = 0
    teacher: float = 0.0

    def __post_init__(self) -> None:
        rates = [rate for _, rate in self.restarts]
        self._require(
            ("epochs", self.epochs >= 1, "at least 1"),
            ("batch", self.batch >= 1, "at least 1"),
            ("peak_rate", self.peak_rate > 0, "above 0"),
            ("warmup", 0 <= self.warmup <= 1, "between 0 and 1"),
            ("momentum", 0 <= self.momentum < 1, "at least 0 and below 1"),
            ("weight_decay", self.weight_decay >= 0, "at least 0"),
            ("label_smoothing", 0 <= self.label_smoothing < 1, "at least 0 and below 1"),
            ("sizes", _rising(self.sizes) and _sides(self.sizes), _SIDES),
            ("cutouts", _rising(self.cutouts) and _sides(self.cutouts), _SIDES),
            (
                "restarts",
                _rising(self.restarts, 1, self.epochs) and all(rate > 0 for rate in rates),
                f"pairs of an epoch and a rate above 0, with rising epochs above 0 and below "
                f"{self.epochs}, their number",
            ),
            (
                "averaging",
                self.averaging is None or _rising((*self.restarts, self.averaging), 1, self.epochs),
                f"an epoch above 0 and below {self.epochs}, their number, after any restart, and a "
                f"rate",
            ),
            ("averaging", self.averaging is None or self.averaging[1] > 0, "with a rate above 0"),
            ("seed", self.seed >= 0, "at least 0"),
            ("teacher", 0 <= self.teacher <= 1, "between 0 and 1"),
        )

    def _require(self, *rules: tuple[str, bool, str]) -> None:
        """Raise `ValueError` for the first rule (field, whether it holds, the demand) broken."""
        for field, holds, must in rules:
            if not holds:
                raise ValueError(f"{field} is {getattr(self, field)}; it must be {must}")

    def size_at(self, epoch: int) -> int | None:
        """Return the side of pictures in `epoch`, in pixels; None if they keep their own size."""
        return _at(self.sizes, epoch)

    def cutout_at(self, epoch: int) -> int | None:
        """Return the side of the square blanked in `epoch`, in pixels; None for no square."""
        return _at(self.cutouts, epoch)


class AdamPlan(SgdPlan, frozen=True, tag="adam"):
    """A plan for Adam with decoupled decay (Loshchilov and Hutter 2019, arXiv:1711.05101).

    `momentum` is the decay of its first moments. If the norm of the gradient of all parameters
    exceeds `longest_gradient`, it is scaled down to that (Pascanu et al. 2013, arXiv:1211.5063).
    """

    longest_gradient: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._require(("longest_gradient", self.longest_gradient > 0, "above 0"))


def rate_at(plan: SgdPlan, epoch: int, step: int, steps: int) -> float:
    """Return the learning rate of step `step` of `steps` in `epoch`.

    It rises to a peak and falls to zero; while weights are averaged, it is constant.
    """
    last = plan.epochs
    if plan.averaging is not None:
        last, rate = plan.averaging
        if epoch >= last:
            return rate
    cycles = [(0, plan.peak_rate), *plan.restarts]
    ends = [first for first, _ in plan.restarts] + [last]
    index = max(i for i, (first, _) in enumerate(cycles) if epoch >= first)
    (first, peak), end = cycles[index], ends[index]
    at, total = (epoch - first) * steps + step, (end - first) * steps
    rise = max(1, int(plan.warmup * total))
    return peak * min((at + 1) / rise, (total - at) / max(1, total - rise))


_SIDES = "pairs of an epoch and a side of at least 1 pixel, with rising epochs from 0 on"


def _at(steps: tuple[tuple[int, int], ...], epoch: int) -> int | None:
    return next((value for first, value in reversed(steps) if epoch >= first), None)


def _rising(pairs: Iterable[tuple[int, float]], first: int = 0, end: int | None = None) -> bool:
    """Tell whether the pairs' epochs increase and all lie in [first, end)."""
    epochs = [epoch for epoch, _ in pairs]
    inside = all(first <= epoch and (end is None or epoch < end) for epoch in epochs)
    return inside and all(a < b for a, b in itertools.pairwise(epochs))


def _sides(pairs: Iterable[tuple[int, int]]) -> bool:
    return all(side >= 1 for _, side in pairs)
