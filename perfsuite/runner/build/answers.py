"""An artifact's answers, compared with those of the model that it was built from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from perfsuite.domain.device import PROCESSOR
from perfsuite.domain.record import ALIKE, INFINITE, MAY_OVERFLOW, NAN_OF_MADE_UP, NOT_COMPARED
from perfsuite.domain.runtime import Manifest
from perfsuite.domain.task import Inputs, Outputs, Task
from perfsuite.errors import BuildError, ParityError, Unsupported
from perfsuite.export.noise import noise_floors, rounding_decides
from perfsuite.export.parity import (
    check_finite,
    has_nan,
    looser,
    not_finite,
)
from perfsuite.libraries.vectors import has_vnni, vectors_of
from perfsuite.processor import read_processor
from perfsuite.runner.build.alike import answers_alike
from perfsuite.runner.build.reference import OVERFLOW, differences

if TYPE_CHECKING:
    import numpy as np

_NAN = (
    "; its times would not be those of real values: give samples that it is made for, or drop the "
    "output"
)

_ROUNDED, _FAR = "int8", 0.1  # a difference from which on rounding has to be told

_MADE_UP = "the inputs are made up, and may lie where the model is not defined: give samples"


def _off(name: str, value: float) -> str:
    """Return the label of a file that rounds by itself, of which an output is that far off."""
    return f"'{name}' is {100 * value:.0f} % off the file run as it stands"


class Compared(NamedTuple):
    """How an artifact answers.

    `parity` has the largest difference of each output from the model's own answers, `not_finite`
    the outputs in which the model itself gives NaN or infinite values, `labels` what is told of it.
    """

    parity: dict[str, float]
    not_finite: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Comparison:
    """Compares answers with those of the `model`, before any pass, on the same inputs.

    Inputs that are `made_up` may lie where the model is not defined.
    """

    task: Task
    manifest: Manifest
    model: Callable[[Inputs], Outputs]
    made_up: bool

    def of(self, inputs: Sequence[Inputs], answers: Sequence[Outputs]) -> Compared:
        """Return how the answers to `inputs` compare.

        NaN and infinities are equal where the model gives them too. Raises `ParityError` where the
        answers differ, `BuildError` for NaN that the model gives on inputs that are not made up.
        """
        try:
            expected = [self.model(one) for one in inputs]
        except Unsupported:
            for answer in answers:
                check_finite(answer, self.manifest.outputs)
            return Compared({}, labels=(NOT_COMPARED,))
        own = looser(self.manifest.precision, self.manifest.own_precisions)
        worst: dict[str, float] = {}
        for given, wanted, answer in zip(inputs, expected, answers, strict=True):
            found = self._differences(given, wanted, answer, own)
            worst = {name: max(value, worst.get(name, 0.0)) for name, value in found.items()}
        odd, labels = self._odd(expected)
        if answers_alike(inputs, expected):
            labels = (*labels, ALIKE)
        if own == _ROUNDED:
            told = tuple(_off(name, value) for name, value in worst.items() if value > _FAR)
            overflow = told and self._may_overflow
            labels = (*labels, *told, *((MAY_OVERFLOW,) if overflow else ()))
        return Compared(worst, odd, labels)

    def hangs_on_ties(self, inputs: Sequence[Inputs]) -> bool:
        """Tell whether the model's own answers differ where a rounding error changes its inputs."""
        return rounding_decides(self.model, inputs, partial(self.of, inputs))

    @property
    def _may_overflow(self) -> bool:
        """Tell whether sums of two products of bytes may be why an engine is far off."""
        manifest, flags = self.manifest, read_processor().flags
        if "int8" not in manifest.own_precisions or manifest.portable is True:
            return False
        is_x86 = manifest.device == PROCESSOR and vectors_of(flags) is not None
        return is_x86 and not has_vnni(flags)

    def quantized(self, inputs: Sequence[Inputs], answers: Sequence[Outputs]) -> Compared:
        """Return how the answers of a quantized graph compare, which differ on purpose.

        They may have NaN and infinities only in outputs in which the model has them too.
        """
        names = self.manifest.outputs
        odd = {name for answer in answers for name, one in self._named(answer) if not_finite(one)}
        if not odd:
            return Compared({})
        try:
            expected = [self.model(one) for one in inputs]
        except Unsupported:
            expected = []
        own, labels = self._odd(expected)
        for answer in answers:
            check_finite(answer, names, own)
        return Compared({}, own, labels)

    def _differences(
        self, inputs: Inputs, wanted: Outputs, answer: Outputs, precision: str
    ) -> dict[str, float]:
        """Return the differences, without outputs that are NaN because the inputs are made up.

        Engines treat NaN differently, such as in a maximum.
        """
        names, whole = self.manifest.outputs, wanted
        kept = list(range(len(wanted)))
        if self.made_up and any(has_nan(one) for one in wanted):
            kept = [place for place, one in enumerate(wanted) if not has_nan(one)]
            wanted, answer = [wanted[at] for at in kept], [answer[at] for at in kept]
            names = tuple(names[at] for at in kept)

        def floors() -> list[float]:
            found = noise_floors(self.model, inputs, whole)
            return [found[at] for at in kept]

        try:
            return differences(self.task, wanted, answer, names, precision, floors)
        except ParityError as error:
            if self.made_up and any(not_finite(one) for one in (*wanted, *answer)):
                raise ParityError(f"{error}; {_MADE_UP}") from error
            if self._may_overflow:
                raise ParityError(f"{error}; {OVERFLOW}") from error
            raise

    def _named(self, answer: Outputs) -> list[tuple[str, np.ndarray]]:
        return list(zip(self.manifest.outputs, answer, strict=True))

    def _odd(self, expected: Sequence[Outputs]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Return the outputs with NaN or infinities, and the labels that tell so."""
        odd: dict[str, None] = {}
        labels: set[str] = set()
        for answer in expected:
            for name, one in self._named(answer):
                if not not_finite(one):
                    continue
                odd[name] = None
                if not has_nan(one):
                    labels.add(INFINITE)
                elif self.made_up:
                    labels.add(NAN_OF_MADE_UP)
                else:
                    raise BuildError(f"output '{name}': the model gives {not_finite(one)}{_NAN}")
        return tuple(odd), tuple(sorted(labels))
