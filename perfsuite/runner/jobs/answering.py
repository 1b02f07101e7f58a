"""The questions of a task are put to an artifact, in calls of as many samples as it takes."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType

import numpy as np

from perfsuite.domain.runtime import Manifest, Session
from perfsuite.domain.task import Inputs, Outputs
from perfsuite.errors import BuildError, ConfigError, ParityError, PerfsuiteError
from perfsuite.export.parity import check_numbers, largest_difference, not_finite
from perfsuite.runner.build.batching import batch_axis
from perfsuite.runner.jobs.question import Answers, NotBySample, Question
from perfsuite.user_code import user_code

MOST = 50  # samples of a call
CHECKED = 8  # samples of a question that are answered again at the timed batch size
PADDED = 200  # samples of padding, after which calls of a smaller size are worth another session
# The largest difference between two batch sizes, relative to the largest output. Kernels may sum in
# another order at another batch size, which before a rounding to 8 bits may change the result.
DRIFT, QUANTIZED_DRIFT = 1e-3, 5e-2

Open = Callable[[int], AbstractContextManager[Session]]


class Answering:
    """A `Predict` on the artifact of a cell; a context manager with one session open at a time.

    `open_` opens the artifact for calls of so many samples; `batch` is the size that is timed.
    Where the model's batch is open, a question of the task is answered in calls of its own size, of
    at most `MOST` samples; smaller ones are padded by their last sample, unless an output counts no
    samples. A size that is not timed is tried first: if it fails, or answers otherwise than the
    timed one, all is answered at that one, and `labels` say so.
    """

    def __init__(self, open_: Open, manifest: Manifest, batch: int) -> None:
        self._open, self._manifest, self._batch = open_, manifest, batch
        self.labels: tuple[str, ...] = ()
        is_open = any(batch_axis(item) is not None for item in manifest.inputs)
        self._timed_alone = manifest.single or not is_open
        self._unpadded = False
        self._believed = {batch}  # sizes that answer as the timed one
        self._stack = ExitStack()
        self._session: Session | None = None
        self._size = 0  # samples of a call of the session
        self._padding = self._largest = 0  # since its size was last thought over
        self._asked = hashlib.sha256()

    @property
    def digest(self) -> str:
        """Return the hash of all samples that were answered, in their order."""
        return self._asked.hexdigest()

    def __enter__(self) -> Answering:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    def __call__(self, inputs: Inputs) -> Outputs:
        """Return the answers to any number of samples."""
        for name in sorted(inputs):
            self._asked.update(np.ascontiguousarray(inputs[name]).tobytes())
        question = Question(inputs, self._manifest.inputs, self._batch)
        try:
            outputs = self._answers(question)
        except NotBySample:
            if self._unpadded or self._timed_alone:
                raise
            self._unpadded = True
            outputs = self._answers(question)
        try:
            check_numbers(outputs, self._manifest.outputs)
        except BuildError as error:
            raise BuildError(f"{error}{_in_samples(inputs)}") from error
        return outputs

    def _answers(self, question: Question) -> Outputs:
        size = self._size_for(question.count)
        if size in self._believed:
            return question.joined(*self._in_calls(question, size))
        few = question.some(CHECKED)
        timed = self._timed(few)
        try:
            outputs = question.joined(*self._in_calls(question, size))
            self._require_alike(few, timed, question, outputs, size)
        except NotBySample:
            raise
        except (PerfsuiteError, MemoryError) as error:
            self._timed_alone = True
            outputs = question.joined(*self._in_calls(question, self._batch))
            differ = isinstance(error, ParityError)
            why = f"answers at {size} differ" if differ else f"calls of {size} fail"
            self.labels = (f"answered {self._batch} at a time: {why}",)
        self._believed.add(size)
        return outputs

    def _timed(self, few: Question) -> Answers:
        """Return the answers at the timed size; None in place of what counts no samples."""
        try:
            return few.columns(*self._in_calls(few, self._batch, exactly=False))
        except NotBySample:  # of fewer samples than the timed size
            return [None for _ in self._manifest.outputs]

    def _size_for(self, count: int) -> int:
        """Return of how many samples the calls are that answer `count`."""
        if self._timed_alone:
            return self._batch
        calls = math.ceil(count / MOST)
        size = math.ceil(count / calls)
        if self._unpadded or size > self._size:
            self._padding = self._largest = 0
            return size
        self._largest = max(self._largest, size)
        self._padding += math.ceil(count / self._size) * self._size - count
        if self._padding <= PADDED:
            return self._size
        found, self._padding, self._largest = self._largest, 0, 0
        return found

    def _in_calls(
        self, question: Question, size: int, *, exactly: bool | None = None
    ) -> tuple[list[Outputs], list[int]]:
        """Return the answers of each call of `size` samples, and of how many they are.

        With `exactly` the last call is of as many as are left, and not padded.
        """
        parts, sizes = list[Outputs](), list[int]()
        if exactly is None:
            exactly = self._unpadded and not self._timed_alone
        for start in range(0, question.count, size):
            stop = min(start + size, question.count)
            kept = stop - start
            asked = kept if exactly else size
            session = self._opened(asked)
            try:
                with user_code(f"a call with samples {start} to {stop - 1}"):
                    outputs = session.run(question.padded(start, stop, asked))
            except PerfsuiteError as error:
                if told := question.misfit():
                    raise ConfigError(told) from error
                raise
            parts.append(question.cut(outputs, asked, kept) if kept < asked else outputs)
            sizes.append(kept)
        return parts, sizes

    def _opened(self, size: int) -> Session:
        if self._session is None or size != self._size:
            self._stack.close()
            self._session, self._size = None, 0  # if it fails, there is none
            self._session = self._stack.enter_context(self._open(size))
            self._size = size
        return self._session

    def _require_alike(
        self, few: Question, timed: Answers, question: Question, outputs: Outputs, size: int
    ) -> None:
        """Raise `ParityError` unless calls of `size` answer the few samples as the timed ones."""
        rounded = self._manifest.quantized or self._manifest.own_precisions
        allowed = QUANTIZED_DRIFT if rounded else DRIFT
        for name, one, all_ in zip(self._manifest.outputs, timed, outputs, strict=True):
            axis = question.axis(all_, question.count)
            if one is None or axis is None:
                continue  # it counts no samples
            found = np.take(all_, question.places(CHECKED), axis)
            same_shape = found.shape == one.shape
            off = largest_difference(found, one, one) if same_shape else math.inf
            if not off <= allowed:  # NaN is no agreement
                raise ParityError(
                    f"output '{name}': batch {size} and batch {self._batch} differ by {off:.2g} of "
                    f"the largest value, {allowed:g} is allowed"
                )


def _in_samples(inputs: Inputs) -> str:
    """Return which inputs of a question have NaN or infinite values themselves; '' if none has."""
    found = [f"'{name}' {told}" for name, array in inputs.items() if (told := not_finite(array))]
    return f"; the samples that it was asked have such themselves: {', '.join(found)}" * bool(found)
