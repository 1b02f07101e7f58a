"""The task's metric on validation samples, as NNCF's accuracy control asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.recipe import PassContext
from perfsuite.domain.task import Inputs, Outputs

if TYPE_CHECKING:
    import onnx

Answer = Callable[[Inputs], Outputs]


class Validation:
    """Judges models by the rows of some or all validation samples; `items` are all of them.

    An item is the place of a sample and the inputs of a call with it alone. Where the task is asked
    for its rows, samples that are not to be judged keep the answers of the float graph.
    """

    def __init__(self, ctx: PassContext, graph: onnx.ModelProto) -> None:
        self._ctx = ctx
        self.items: list[tuple[int, Inputs]] = []
        self._answers: list[Outputs] = []  # of the float graph, one sample each
        answer = answering(graph)

        def note(inputs: Inputs) -> Outputs:
            found = answer(inputs)
            for at in range(_count(inputs)):
                one = {name: array[at : at + 1] for name, array in inputs.items()}
                self.items.append((len(self.items), one))
                self._answers.append([array[at : at + 1] for array in found])
            return found

        ctx.validation(note)

    def __call__(
        self, model: Any, items: Iterable[tuple[int, Inputs]]
    ) -> tuple[float, list[float]]:
        """Return the metric over `items`, and the first number of each one's row."""
        answer = answering(model)
        answers = list(self._answers)
        places = []
        for place, inputs in items:
            places.append(place)
            answers[place] = answer(inputs)
        at = 0

        def replay(inputs: Inputs) -> Outputs:
            nonlocal at
            some = answers[at : at + _count(inputs)]
            at += len(some)
            return [np.concatenate(each) for each in zip(*some, strict=True)]

        rows = self._ctx.validation(replay)[places]
        return float(self._ctx.metric(rows)), [float(row.flat[0]) for row in rows]


def _count(inputs: Inputs) -> int:
    return len(next(iter(inputs.values())))


def answering(model: Any) -> Answer:
    """Return what answers by an ONNX graph, on ONNX Runtime, or by a compiled OpenVINO model."""
    import onnx

    if not isinstance(model, onnx.ModelProto):
        return lambda inputs: [np.array(value) for value in model(inputs).values()]
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda inputs: list(session.run(None, inputs))
