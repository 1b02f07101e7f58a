"""The operations of a step are brought into their final order, and merged where they can be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from perfsuite.runtimes.binary.plan import PlanOp, PlanStep

if TYPE_CHECKING:
    from perfsuite.runtimes.binary.lower import Lowering, Step

Floats = npt.NDArray[np.float32]
Item = tuple[str, tuple[Floats, ...], str]  # as `PlanOp`, with numbers instead of their names


class Finish:
    """Makes the plan of one step."""

    def __init__(self, lowering: Lowering, step: Step) -> None:
        self.lowering, self.step = lowering, step
        form, part = step.form, slice(step.group * step.channels, (step.group + 1) * step.channels)
        self.weights = None if form is None or form.weights is None else form.weights[part]
        self.factors: tuple[Floats, Floats] | None = None
        if form is not None and form.scale is not None and form.shift is not None:
            self.factors = form.scale[part], form.shift[part]

    def plan(self) -> PlanStep:
        """Return the step; its numbers are then among the tensors."""
        step, form = self.step, self.step.form
        ops = tuple(
            PlanOp(kind, tuple(self._keep(one) for one in numbers), value)  # type: ignore[arg-type]
            for kind, numbers, value in self._items()
        )
        factors = [self._keep(one) for one in self.factors or ()] or ["", ""]
        made = PlanStep(
            step.kind,
            tuple(dict.fromkeys(step.origins)),
            self.operator(),
            step.source,
            step.channels,
            ops=ops,
            weights="" if self.weights is None else self._keep(self.weights),
            scale=factors[0],
            shift=factors[1],
            source_channels=step.source_channels,
            source_first=step.source_first,
            first=step.first,
        )
        if form is None:
            return made
        import msgspec

        return msgspec.structs.replace(
            made, geometry=form.geometry, count_padding=form.count_padding
        )

    def operator(self) -> str:
        """Return the operator of the step's first node, or `Copy` if it has none."""
        first = next(iter(self.step.origins), None)
        nodes = self.lowering.graph.nodes
        return next((one.op_type for one in nodes if one.name == first), "Copy")

    def _keep(self, numbers: npt.NDArray[Any]) -> str:
        """Store numbers under the next free name, and return it."""
        name = f"t{len(self.lowering.tensors)}"
        self.lowering.tensors[name] = numbers
        return name

    def _items(self) -> list[Item]:
        """Return the operations, each followed by the stores of what it gives."""
        items: list[Item] = []
        for index, value in enumerate(self.step.values):
            if index:
                op = self.step.ops[index - 1]
                self._append(items, (op.kind, op.numbers, op.value))
            for reader, threshold in self.lowering.bits.get(value, ()):
                items.append(("bits", (threshold,), reader))
            if value in self.lowering.stored:
                items.append(("store", (), value))
        return items

    def _append(self, items: list[Item], item: Item) -> None:
        """Append an operation, or merge it with the one before it."""
        kind, numbers, _ = item
        last = items[-1] if items else None
        if kind == "affine" and last is None and self.factors is not None:
            self.factors = _after(self.factors, numbers)
        elif kind == "affine" and last is not None and last[0] == "affine":
            items[-1] = ("affine", _after(last[1], numbers), "")
        elif kind == "affine" and last is not None and last[0] == "prelu" and _adds(numbers):
            before, slope, after = last[1]
            items[-1] = ("prelu", (before, slope, after + numbers[1]), "")
        elif kind == "prelu" and last is not None and last[0] == "affine" and _adds(last[1]):
            items[-1] = ("prelu", (numbers[0] - last[1][1], *numbers[1:]), "")
        else:
            items.append(item)


def _adds(numbers: tuple[Floats, ...]) -> bool:
    return bool(np.all(numbers[0] == 1))


def _after(first: tuple[Floats, ...], second: tuple[Floats, ...]) -> tuple[Floats, Floats]:
    """Return factor and summand of one after the other."""
    (a, b), (c, d) = (tuple(one.astype(np.float64) for one in pair) for pair in (first, second))
    return (a * c).astype(np.float32), (b * c + d).astype(np.float32)
