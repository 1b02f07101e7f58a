"""The samples file of an ONNX workload: read, and held against what the model takes."""

from __future__ import annotations

import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from perfsuite.domain.model import InputSpec
from perfsuite.domain.task import Inputs
from perfsuite.errors import ConfigError
from perfsuite.export.sides import ITS_NAME
from perfsuite.workloads.onnx.arrays import converted, fits, written

LABELS = "labels"
LEAST = 4  # labelled samples: two to calibrate, two to test
_SHOWN = 8  # names in a message
_NO_SAMPLES = (
    "no side of the model's inputs is known to count samples, and each is given once; give several "
    "samples of an input with one side more than it has, or one by one as 'x/0', 'x/1', ...; or "
    "say which side counts them with `batch` in its place: --shape x=10xbatchx4, in a suite "
    f'shapes = {{ {ITS_NAME} = {{ x = [10, "batch", 4] }} }}'
)

Found = np.ndarray | list[np.ndarray]  # of one input: stacked samples, or one by one
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Samples:
    """Samples in a seeded random order, as a file may be sorted by class.

    `each` has, by input, one array a sample, which lacks the side of the input that counts samples:
    that of `axes`, or None where no side does, so that each sample is a call. `once` has what is
    the same in every call. `notes` tell what was converted.
    """

    names: tuple[str, ...]  # of the inputs, in the model's order
    axes: Mapping[str, int | None]
    each: Mapping[str, Sequence[np.ndarray] | np.ndarray]
    once: Mapping[str, np.ndarray]
    labels: np.ndarray | None = None
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(next(iter(self.each.values())))

    def call(self, chosen: Sequence[int]) -> Inputs:
        """Return the inputs of a call with these samples, whose shapes are alike."""
        return {name: self._array(name, chosen) for name in self.names}

    def _array(self, name: str, chosen: Sequence[int]) -> np.ndarray:
        if name in self.once:
            return self.once[name]
        arrays, axis = [self.each[name][index] for index in chosen], self.axes[name]
        return arrays[0] if axis is None else np.stack(arrays, axis)

    def shapes(self, index: int) -> tuple[Shape, ...]:
        """Return the shapes of the inputs of a call with this sample alone."""
        return tuple(
            self.once[name].shape
            if name in self.once
            else _with_one(self.each[name][index].shape, self.axes[name])
            for name in self.names
        )

    @cached_property
    def is_ragged(self) -> bool:
        """Whether samples differ in shape, so that not all fit into one call."""
        if all(isinstance(arrays, np.ndarray) for arrays in self.each.values()):
            return False
        return len({self.shapes(index) for index in range(len(self))}) > 1

    def alike(self, index: int, among: range) -> list[int]:
        """Return the samples that have the shapes of this one."""
        if not self.is_ragged:
            return list(among)
        return [other for other in among if self.shapes(other) == self.shapes(index)]

    def lengths(self, inputs: Sequence[InputSpec]) -> dict[str, set[int]]:
        """Return the lengths that each open side of `inputs` has, by its name.

        Raises `ConfigError` where two inputs of a sample have another length for the same name.
        """
        found: dict[str, set[int]] = {}
        for index in range(len(self) if self.is_ragged else 1):
            here: dict[str, tuple[int, str]] = {}
            for spec, shape in zip(inputs, self.shapes(index), strict=True):
                for side, length in zip(spec.shape, shape, strict=True):
                    if not isinstance(side, str) or side in _at(spec, self.axes):
                        continue
                    other, whose = here.setdefault(side, (length, spec.name))
                    if other != length:
                        raise ConfigError(
                            f"side '{side}' is {other} in '{whose}' and {length} in "
                            f"'{spec.name}', and is the same in both"
                        )
                    found.setdefault(side, set()).add(length)
        return found


def read_samples(
    path: Path,
    inputs: Sequence[InputSpec],
    axes: Mapping[str, int],
    fixed: Set[str],
) -> Samples:
    """Return the samples of an `.npz` file: an array for each of `inputs`, and maybe `labels`.

    `axes` has the open side of each input that counts samples. Where there is none, the first sides
    count them of those inputs where they are `fixed`, and none does where whole inputs are stacked,
    or given one by one. Raises `ConfigError`, naming the array, if the file cannot be read or does
    not fit.
    """
    arrays, labels = _read(path, inputs)
    if labels is not None:
        _check_labels(path, labels)
    count = _count(arrays, labels, inputs, axes)
    found_axes: dict[str, int | None] = {}
    for spec in inputs:
        if not axes and _is_whole(arrays[spec.name], spec):
            found_axes[spec.name] = None
        elif (axis := _axis(arrays[spec.name], spec, axes, count, fixed)) is not None:
            found_axes[spec.name] = axis
    each: dict[str, Found] = {}
    once: dict[str, np.ndarray] = {}
    notes: list[str] = []
    for spec in inputs:
        counts = spec.name in found_axes
        taken = _taken(path, spec, arrays[spec.name], found_axes.get(spec.name), notes, counts)
        if counts:
            each[spec.name] = taken
        else:
            (once[spec.name],) = taken
    if not each:
        raise ConfigError(f"{path}: {_NO_SAMPLES}")
    _check_lengths(path, {**each, **({} if labels is None else {LABELS: labels})}, labels is None)
    order = np.random.default_rng(0).permutation(len(next(iter(each.values()))))
    return Samples(
        tuple(spec.name for spec in inputs),
        found_axes,
        {name: _ordered(found, order) for name, found in each.items()},
        once,
        None if labels is None else labels[order],
        tuple(dict.fromkeys(notes)),
    )


def ranks_in(path: Path, names: Sequence[str]) -> dict[str, int]:
    """Return how many sides the arrays of some inputs have; those that are not there are left out.

    Samples that are given one by one lack the side that counts them.
    """
    found = {}
    with _opened(path, names) as file:
        for name in names:
            keys = _keys(file.files, name)
            if keys:
                alone = keys != [name]
                found[name] = _array(path, file, keys[0]).ndim + alone
    return found


def clashing(path: Path, inputs: Sequence[InputSpec]) -> set[str]:
    """Return the names of open sides that have several lengths in the samples of different inputs.

    First sides, of which samples have another length than a call, are left out.
    """
    shared = Counter(side for spec in inputs for side in set(spec.shape[1:]))
    asked = [spec for spec in inputs if any(shared[side] > 1 for side in spec.shape[1:])]
    lengths: dict[int | str, set[int]] = {}
    with _opened(path, [spec.name for spec in inputs]) as file:
        for spec in asked:
            for key in _keys(file.files, spec.name)[:1]:
                shape = _array(path, file, key).shape
                own = shape[len(shape) - len(spec.shape) + 1 :]
                if len(own) == len(spec.shape) - 1:
                    for side, length in zip(spec.shape[1:], own, strict=True):
                        lengths.setdefault(side, set()).add(length)
    return {side for side, found in lengths.items() if isinstance(side, str) and len(found) > 1}


def _read(path: Path, inputs: Sequence[InputSpec]) -> tuple[dict[str, Found], np.ndarray | None]:
    """Return the arrays of the inputs and, if there are any, the labels."""
    with _opened(path, [spec.name for spec in inputs]) as file:
        missing = [one.name for one in inputs if not _keys(file.files, one.name)]
        if missing:
            shown = ", ".join(file.files[:_SHOWN]) + ", ..." * (len(file.files) > _SHOWN)
            raise ConfigError(
                f"{path}: no array named {', '.join(missing)}; it has {shown or 'none'}"
            )
        arrays: dict[str, Found] = {}
        for one in inputs:
            keys = _keys(file.files, one.name)
            _check_numbers(path, file.files, one.name, len(keys))
            found = [_array(path, file, key) for key in keys]
            arrays[one.name] = found[0] if keys == [one.name] else found
        labelled = LABELS in file.files and LABELS not in arrays
        return arrays, _array(path, file, LABELS) if labelled else None


def _keys(names: Sequence[str], name: str) -> list[str]:
    """Return the array of an input, or its samples one by one: `x/0`, `x/1`, ..."""
    if name in names:
        return [name]
    known, keys = set(names), list[str]()
    while f"{name}/{len(keys)}" in known:
        keys.append(f"{name}/{len(keys)}")
    return keys


def _check_numbers(path: Path, names: Sequence[str], name: str, count: int) -> None:
    """Raise `ConfigError` for samples one by one of which one is missing."""
    numbers = [one.removeprefix(f"{name}/") for one in names if one.startswith(f"{name}/")]
    if name not in names and sum(one.isdecimal() for one in numbers) != count:
        raise ConfigError(f"{path}: no array named {name}/{count}, and there are later ones")


@contextmanager
def _opened(path: Path, wanted: Sequence[str]) -> Iterator[np.lib.npyio.NpzFile]:
    advice = f"write it with numpy.savez(file, {', '.join(f'{name}=...' for name in wanted)})"
    try:
        if not zipfile.is_zipfile(path):
            path.open("rb").close()  # its error says why, if it cannot be opened
            raise ConfigError(f"{path}: not a readable .npz file; {advice}")
        with np.load(path, allow_pickle=False) as file:
            yield file
    except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise ConfigError(f"{path}: not a readable .npz file ({error}); {advice}") from error


def _array(path: Path, file: np.lib.npyio.NpzFile, name: str) -> np.ndarray:
    try:
        array = file[name]
    except ValueError as error:
        raise ConfigError(
            f"{path}: array '{name}' is damaged, or holds Python objects, which are never read; "
            f"write it as plain numbers, and samples of different sizes one by one: "
            f"numpy.savez(file, **{{f'{name}/{{i}}': one for i, one in enumerate(samples)}})"
        ) from error
    if not isinstance(array, np.ndarray):
        raise ConfigError(f"{path}: '{name}' is no NumPy array")
    return array


def _check_labels(path: Path, labels: np.ndarray) -> None:
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or (len(labels) and labels.min() < 0):
        raise ConfigError(
            f"{path}: array '{LABELS}' is {labels.dtype} {labels.shape}, but labels are integers "
            "from 0, one a sample: (samples,)" + _advice(labels)
        )


def _count(
    arrays: Mapping[str, Found],
    labels: np.ndarray | None,
    inputs: Sequence[InputSpec],
    axes: Mapping[str, int],
) -> int | None:
    """Return the number of samples, by what certainly has one entry for each."""
    if labels is not None:
        return len(labels)
    sure = [found for name, found in arrays.items() if name in axes or isinstance(found, list)]
    if not sure:
        shapes = {spec.name: spec.shape for spec in inputs}
        sure = [found for name, found in arrays.items() if not fits(np.shape(found), shapes[name])]
    lengths = [len(found) for found in sure or arrays.values() if _has_length(found)]
    return lengths[0] if lengths else None


def _has_length(found: Found) -> bool:
    return isinstance(found, list) or found.ndim > 0


def _is_whole(found: Found, spec: InputSpec) -> bool:
    """Tell whether each sample is a whole input, stacked or one by one."""
    if isinstance(found, np.ndarray):
        return found.ndim > 0 and fits(found.shape[1:], spec.shape)
    single = bool(spec.shape) and spec.shape[0] == 1  # a side that counts samples, after all
    return not single and all(fits(one.shape, spec.shape) for one in found)


def _axis(
    found: Found, spec: InputSpec, axes: Mapping[str, int], count: int | None, fixed: Set[str]
) -> int | None:
    """Return the side of an input that counts samples; None if what is given is for every call.

    In a model with an open batch, an input whose first side is 1 may have samples of its own, too.
    """
    if spec.name in axes or spec.name not in fixed:
        return axes.get(spec.name)
    if isinstance(found, list):
        return 0
    if not _has_length(found) or (axes and spec.shape[0] != 1):
        return None
    if fits(found.shape, spec.shape) and (axes or len(found) != count):
        return None
    return 0


def _taken(
    path: Path, spec: InputSpec, found: Found, axis: int | None, notes: list[str], counts: bool
) -> Found | list[np.ndarray]:
    """Return the samples of an input in its type; `notes` gets one if that is another than theirs.

    Samples that are given one by one may have the side that counts them, with length 1. What is
    given for every call, as it is unless it `counts` samples, is returned as a list of one.
    """
    sides = spec.shape if axis is None else (*spec.shape[:axis], *spec.shape[axis + 1 :])
    if isinstance(found, np.ndarray):
        shape = found.shape[1:] if counts else found.shape
        right = None
        if fits(shape, sides) and (found.ndim or not counts):
            right = _converted(spec, found, notes)
        if right is None:
            raise _misfit(path, spec.name, found, spec, axis)
        return right if counts else [right]
    if not counts:
        raise ConfigError(
            f"{path}: no side of input '{spec.name}' {written(spec.shape)} counts samples, so it "
            f"is given once, as '{spec.name}', and not as '{spec.name}/0', ..."
        )
    taken = []
    for index, one in enumerate(found):
        if axis is not None and one.ndim == len(spec.shape) and one.shape[axis] == 1:
            one = one.squeeze(axis)
        right = _converted(spec, one, notes) if fits(one.shape, sides) else None
        if right is None:
            raise _misfit(path, f"{spec.name}/{index}", one, spec, axis, alone=True)
        taken.append(right)
    return taken


def _converted(spec: InputSpec, array: np.ndarray, notes: list[str]) -> np.ndarray | None:
    right = converted(array, spec.dtype)
    if right is not None and right.dtype != array.dtype:
        notes.append(f"{spec.name}: {array.dtype} read as {right.dtype}")
    return right


def _misfit(
    path: Path,
    name: str,
    array: np.ndarray,
    spec: InputSpec,
    axis: int | None,
    *,
    alone: bool = False,
) -> ConfigError:
    text = (
        f"{path}: array '{name}' is {array.dtype} {array.shape}, but the model takes "
        f"{spec.dtype} {written(spec.shape)}; convert the array"
    )
    if axis:
        sides = (*spec.shape[:axis], *spec.shape[axis + 1 :])
        text += f", which is {written(sides if alone else ('samples', *sides))} in the file"
    return ConfigError(text)


def _check_lengths(path: Path, found: Mapping[str, Found], unlabelled: bool) -> None:
    lengths = {name: len(one) for name, one in found.items()}
    least = 1 if unlabelled else LEAST
    if empty := [name for name, length in lengths.items() if not length]:
        shape = np.shape(found[empty[0]])
        raise ConfigError(
            f"{path}: array '{empty[0]}' is {shape} and holds no samples; give at least {least}"
        )
    if len(set(lengths.values())) != 1 or min(lengths.values()) < least:
        raise ConfigError(
            f"{path}: arrays must be equally long, and at least {least}; they are {lengths}"
        )


def _ordered(found: Found, order: np.ndarray) -> Found:
    return found[order] if isinstance(found, np.ndarray) else [found[index] for index in order]


def _with_one(shape: Shape, axis: int | None) -> Shape:
    return shape if axis is None else (*shape[:axis], 1, *shape[axis:])


def _at(spec: InputSpec, axes: Mapping[str, int | None]) -> tuple[int | str, ...]:
    """Return the side of an input that counts samples, if there is one."""
    axis = axes.get(spec.name)
    return () if axis is None else (spec.shape[axis],)


def _advice(labels: np.ndarray) -> str:
    if labels.ndim == 2 and labels.shape[1] > 1:
        return "; of one-hot labels take labels.argmax(axis=1)"
    if labels.ndim == 2:
        return "; take labels[:, 0]"
    if labels.dtype.kind == "f" and (labels == np.floor(labels)).all():
        return "; take labels.astype(int)"
    if labels.dtype.kind == "i" and labels.size and labels.min() < 0:
        return f"; there is {labels.min()}"
    return ""
