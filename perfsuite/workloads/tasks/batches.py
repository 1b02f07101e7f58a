"""The task of a data loader: anything that gives batches of arrays or tensors."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from perfsuite.data.samples import held_out_tenth
from perfsuite.domain.pictures import Shown
from perfsuite.domain.task import (
    KEPT_FOR_CALIBRATION,
    Inputs,
    Predict,
    RowsMetric,
    Task,
    TrainingSet,
)
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.user_code import kind_of
from perfsuite.workloads.tasks.classification import top1_rows
from perfsuite.workloads.tasks.seeded import seeded
from perfsuite.workloads.tasks.shown import shown_inputs
from perfsuite.workloads.tasks.stored_samples import StoredSamples, stored

LABELS = ("labels", "label")  # keys of a batch that is a dict
UNUSED = "targets unused"  # what no metric of this task takes, such as masks or boxes
_POOL = 256  # test samples among which those that are timed are drawn
_CALL = 100  # training samples that are answered in a call


class Batch(NamedTuple):
    """What the model takes, by name, and the targets, if the loader gives any."""

    inputs: Inputs
    targets: Any = None


@dataclass(frozen=True)
class Batches(Task):
    """The samples of `loader`, which gives batches of arrays or tensors each time it is iterated.

    A batch is an array, or a dict of arrays by input name. With targets it is a pair of that and
    the targets, or a dict with `labels`. Class labels, one integer a sample, are judged by top-1;
    of other targets nothing is made, and a label of the results says so. A tuple of more arrays
    holds several inputs and the targets last; `targets=False` says that there are none.

    Test samples are all of `loader` if there is another loader for `calibration`. Otherwise every
    second sample is for testing, and the others for calibration. Random numbers are seeded while a
    loader is read, so that one that shuffles gives each job the same samples.

    Passes that train need `train_loader`, with class labels. It is read once, into memory: what it
    varies by chance stays as it is drawn then. Validation samples are those of `validation_loader`;
    without it, a seeded tenth of the training samples, or without these, what there is for
    calibration beyond `KEPT_FOR_CALIBRATION`.
    """

    loader: Iterable[Any]
    calibration_loader: Iterable[Any] | None = None
    targets: bool = True
    train_loader: Iterable[Any] | None = None
    validation_loader: Iterable[Any] | None = None

    @cached_property
    def _first(self) -> Batch:
        return next(self._read(self.loader))

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]
        """Return the word for targets that are not used, if there are such."""
        first = self._first
        return (UNUSED,) if first.targets is not None and _classes(first) is None else ()

    def metrics(self) -> Mapping[str, RowsMetric]:
        """Return top-1 if there are class labels, else nothing."""
        return {} if _classes(self._first) is None else {"top1": _top1}

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return `batch` of the first test samples, chosen by `seed`."""
        pool = self._pool
        length = len(next(iter(pool.values())))
        chosen = np.random.default_rng(seed).integers(0, length, batch)
        return {name: array[chosen] for name, array in pool.items()}

    @cached_property
    def _pool(self) -> Inputs:
        """Return the first test samples that have one shape."""
        found: list[Inputs] = []
        count = 0
        for inputs, _ in self._test():
            if found and any(found[0][name].shape[1:] != a.shape[1:] for name, a in inputs.items()):
                continue
            found.append(inputs)
            count += len(next(iter(inputs.values())))
            if count >= _POOL:
                break
        return {name: np.concatenate([one[name] for one in found])[:_POOL] for name in found[0]}

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Yield up to `samples` samples that are no test samples."""
        left = samples
        for inputs, _ in self._calibrating():
            length = min(left, len(next(iter(inputs.values()))))
            yield {name: array[:length] for name, array in inputs.items()}
            left -= length
            if not left:
                return

    def rows(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return (samples, 3) rows: 1 if right else 0, the answer, the label."""
        return self._answered(self._test(), predict, samples)

    @property
    def trains(self) -> bool:
        """Return whether there is a loader for training."""
        return self.train_loader is not None

    def right(self, rows: np.ndarray) -> np.ndarray:
        """Return which answers are the label."""
        return np.asarray(rows[:, 0] == 1)

    def shown(
        self,
        predict: Predict,
        rows: np.ndarray,
        places: Sequence[int],
        samples: int | None = None,
    ) -> list[Shown]:
        """Return what the model is given as pictures, stretched, with the label and the answer."""
        return shown_inputs((batch.inputs for batch in self._test()), rows, places)

    def train(self) -> TrainingSet:
        """Return the samples of the loader for training; raise `Unsupported` without one."""
        return self._training.training_set()

    def validation(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return rows, as `rows` does, of the validation samples."""
        return self._answered(self._validating(), predict, samples)

    def held_out(self) -> np.ndarray | None:
        """Return a seeded tenth of the training samples, or None if validation has its own."""
        if self.train_loader is None or self.validation_loader is not None:
            return None
        return held_out_tenth(len(self._training))

    @cached_property
    def _training(self) -> StoredSamples:
        if self.train_loader is None:
            raise Unsupported(
                "Batches: this task has no training samples; Batches(..., train_loader=...) takes "
                "anything that gives batches of inputs and class labels"
            )
        return stored(map(_labelled, self._read(self.train_loader)))

    def _validating(self) -> Iterator[Batch]:
        if self.validation_loader is not None:
            yield from self._read(self.validation_loader)
            return
        places = self.held_out()
        if places is None:
            yield from _later(self._calibrating())
            return
        name = next(iter(self._first.inputs))
        for start in range(0, len(places), _CALL):
            chosen = places[start : start + _CALL]
            inputs = {name: self._training.taken(chosen)}
            yield Batch(inputs, self._training.labels[chosen])

    def _answered(
        self, batches: Iterator[Batch], predict: Predict, samples: int | None
    ) -> np.ndarray:
        rows: list[np.ndarray] = []
        left = samples
        for batch in batches:
            labels = _classes(batch)
            if labels is None:
                raise ConfigError("a batch of the loader has no class labels, and others have")
            length = len(labels) if left is None else min(left, len(labels))
            inputs = {name: array[:length] for name, array in batch.inputs.items()}
            rows.append(top1_rows(predict(inputs), labels[:length]))
            if left is not None:
                left -= length
                if not left:
                    break
        return np.concatenate(rows)

    def fingerprint(self) -> str:
        """Return a digest of the first samples, and how many batches there are, if that is known.

        Raises `ConfigError` for a loader that gives other samples the second time.
        """
        further = {"train": self.train_loader, "validation": self.validation_loader}
        given = (f"{name} {self._told(one)}" for name, one in further.items() if one is not None)
        return " ".join([self._told(self.loader), *given])

    def _told(self, loader: Iterable[Any]) -> str:
        once, again = (_digest(next(self._read(loader))) for _ in range(2))
        if once != again:
            raise ConfigError(
                f"{kind_of(loader)}: it gives other samples the second time, even with the same "
                f"seeds of random, NumPy and torch; every job must see the same samples: turn "
                f"shuffling and augmentation off"
            )
        size = len(loader) if isinstance(loader, Sized) else "?"
        return f"{once} {size}"

    def _test(self) -> Iterator[Batch]:
        if self.calibration_loader is not None:
            return self._read(self.loader)
        return _every_second(self._read(self.loader), 0)

    def _calibrating(self) -> Iterator[Batch]:
        if self.calibration_loader is not None:
            return self._read(self.calibration_loader)
        return _every_second(self._read(self.loader), 1)

    def _read(self, loader: Iterable[Any]) -> Iterator[Batch]:
        if _numpy_like(loader):
            raise ConfigError(
                f"{kind_of(loader)}: it is one array, and a loader gives batches; give a list of "
                f"batches, such as [array]"
            )
        if iter(loader) is loader:
            raise ConfigError(
                f"{kind_of(loader)}: it gives its batches once, and every job reads them again; "
                f"give a list of batches, or a loader such as torch.utils.data.DataLoader"
            )
        empty = True
        for given in seeded(loader):
            empty = False
            yield _batch(given, targets=self.targets)
        if empty:
            raise ConfigError(f"{kind_of(loader)}: it gives no batch")


def _later(batches: Iterator[Batch]) -> Iterator[Batch]:
    """Yield the samples after the first `KEPT_FOR_CALIBRATION`; raise `Unsupported` without any."""
    seen = 0
    for inputs, targets in batches:
        length = len(next(iter(inputs.values())))
        start = max(0, KEPT_FOR_CALIBRATION - seen)
        seen += length
        if start < length:
            later = {name: array[start:] for name, array in inputs.items()}
            yield Batch(later, targets[start:] if isinstance(targets, np.ndarray) else targets)
    if seen <= KEPT_FOR_CALIBRATION:
        raise Unsupported(
            f"Batches: this task has no validation samples: its {seen} samples that are not for "
            f"testing calibrate; give others, Batches(..., validation_loader=...), or those for "
            f"training, train_loader=..., of which a tenth is held out then"
        )


def _labelled(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    """Return what a training takes of a batch: the one input, and the class labels."""
    labels = _classes(batch)
    if labels is None or len(batch.inputs) != 1:
        found = f"inputs {', '.join(batch.inputs)}"
        found = found if labels is not None else "targets that are no class labels"
        raise Unsupported(
            f"train_loader: it gives {found}: to train, a batch is one array and one integer a "
            f"sample; for anything else write a task of your own, whose train() has a loss"
        )
    return batch.inputs[next(iter(batch.inputs))], labels


def _every_second(batches: Iterator[Batch], begin: int) -> Iterator[Batch]:
    """Yield every second sample of all batches together, from the first or the second on."""
    seen = 0
    for inputs, targets in batches:
        length = len(next(iter(inputs.values())))
        start = (begin - seen) % 2
        seen += length
        if start < length:
            chosen = {name: array[start::2] for name, array in inputs.items()}
            yield Batch(chosen, targets[start::2] if isinstance(targets, np.ndarray) else targets)


def _batch(given: Any, *, targets: bool) -> Batch:
    found: Any = None
    if isinstance(given, Mapping):
        given = dict(given)
        if targets:
            key = next((one for one in LABELS if one in given), None)
            found = None if key is None else given.pop(key)
        inputs = {str(name): _array(value, str(name)) for name, value in given.items()}
    elif isinstance(given, tuple | list):
        parts = list(given)
        if targets and len(parts) > 1:
            found = parts.pop()
        if len(parts) == 1 and isinstance(parts[0], Mapping):
            return _batch(parts[0], targets=False)._replace(targets=_target(found))
        names = ["x"] if len(parts) == 1 else [f"x{number}" for number in range(len(parts))]
        inputs = {name: _array(part, name) for name, part in zip(names, parts, strict=True)}
    else:
        inputs = {"x": _array(given, "x")}
    lengths = {name: len(array) for name, array in inputs.items()}
    if not inputs or len(set(lengths.values())) != 1 or not all(lengths.values()):
        raise ConfigError(
            f"a batch of the loader has inputs of {lengths} samples: each input is an array over "
            f"the samples of the batch, all of the same length"
        )
    target = _target(found)
    length = next(iter(lengths.values()))
    if isinstance(target, np.ndarray) and target.ndim and len(target) != length:
        raise ConfigError(
            f"a batch of the loader has {length} samples and {len(target)} targets: give one for "
            f"each, or say Batches(loader, targets=False) if the last array is an input"
        )
    return Batch(inputs, target)


def _array(value: Any, name: str) -> np.ndarray:
    """Return an array or a tensor as an array; raise `ConfigError` for anything else."""
    found = _numpy(value)
    if found is None or not found.ndim or found.dtype.kind not in "biuf":
        raise ConfigError(
            f"a batch of the loader has {kind_of(value)} as '{name}': arrays or tensors of numbers "
            f"were expected, their first axis over samples"
        )
    return found


def _numpy_like(value: Any) -> bool:
    return isinstance(value, np.ndarray) or hasattr(value, "detach")


def _numpy(value: Any) -> np.ndarray | None:
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu()
        value = value.float() if str(value.dtype) == "torch.bfloat16" else value
        return np.asarray(value.numpy())
    if isinstance(value, np.ndarray):
        return value
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        try:
            return np.asarray(value)
        except ValueError:  # of different lengths
            return None
    return None


def _target(found: Any) -> Any:
    array = None if found is None else _numpy(found)
    single = isinstance(found, int | float | np.number)
    if single or (array is not None and not array.ndim):
        raise ConfigError(
            "a batch of the loader has one number as its target, where each sample has one: a "
            "data set gives samples, not batches; give torch.utils.data.DataLoader(dataset, "
            "batch_size=...)"
        )
    if array is None:
        return found
    return array[:, 0] if array.ndim == 2 and array.shape[1] == 1 else array


def _classes(batch: Batch) -> np.ndarray | None:
    """Return the targets if they are class labels: one integer a sample."""
    found = batch.targets
    length = len(next(iter(batch.inputs.values())))
    fits = isinstance(found, np.ndarray) and found.shape == (length,) and found.dtype.kind in "iu"
    return found if fits else None


def _top1(rows: np.ndarray) -> float:
    return float(rows[:, 0].mean())


def _digest(batch: Batch) -> str:
    digest = hashlib.sha256()
    for name, array in batch.inputs.items():
        digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    if isinstance(batch.targets, np.ndarray):
        digest.update(np.ascontiguousarray(batch.targets).tobytes())
    return digest.hexdigest()
