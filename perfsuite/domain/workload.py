"""A workload: a model and a task under one name."""

from __future__ import annotations

from dataclasses import dataclass, field

from perfsuite.domain.model import InputSpec, Model
from perfsuite.domain.task import Task


@dataclass(frozen=True)
class Workload:
    """A model with its task. `name` must be usable in a cell's key: no `/`, no spaces."""

    name: str
    model: Model
    task: Task = field(default_factory=Task)

    def input_spec(self) -> tuple[InputSpec, ...]:
        """Return a spec for each input, from the shapes of inputs for batches of 2 and 3.

        Axes that change with the batch are named `batch`; all others are static. A model that takes
        only one batch size has static axes only; what begins with another length, as a picture
        without a batch, is given once.
        """
        only = self.model.batch
        sizes = (only, only) if only else (2, 3)
        two, three = (self.task.inputs(size, 0) for size in sizes)
        shapes = {
            name: tuple(
                "batch" if side != other else side
                for side, other in zip(array.shape, three[name].shape, strict=True)
            )
            for name, array in two.items()
        }
        batched = any("batch" in shape for shape in shapes.values())

        def is_given_once(shape: tuple[int | str, ...]) -> bool:
            return shape[:1] != (only,) if only else batched and "batch" not in shape

        return tuple(
            InputSpec(name, str(two[name].dtype), shape, is_given_once(shape))
            for name, shape in shapes.items()
        )
