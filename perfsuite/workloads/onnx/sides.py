"""Which side of an ONNX file's inputs is the batch, and how long its other open sides are.

What a file leaves open is told by a user, or by samples, or found out in a trial; else it is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import msgspec

from perfsuite.domain.model import GivenShapes, InputSpec
from perfsuite.errors import ConfigError
from perfsuite.export.sides import BATCH, ITS_NAME, batch_sides, toml_key, with_sides
from perfsuite.plugins import suggestion
from perfsuite.workloads.onnx.arrays import written
from perfsuite.workloads.onnx.samples import Samples
from perfsuite.workloads.onnx.trial import Outcome

ANY = "?"  # stands for a side that samples decide
_PICTURE = 4  # sides: samples, channels, height, width
_CHANNELS = 3  # of a picture in colours

Shape = tuple[int | str, ...]


class Sides(NamedTuple):
    """What is known of a file's inputs before samples are read and anything is tried.

    `inputs` have the lengths that a user told, and names elsewhere. `batch` are the names of the
    sides that may count samples: as `told` by the user, or as they are `named`, or by their place.
    `numbers` are lengths that a user gave them. `fixed` are the inputs whose first side has a
    length in the file and, without an open batch, counts their samples, as far as a file tells it.
    """

    inputs: tuple[InputSpec, ...]
    batch: tuple[str, ...]
    fixed: frozenset[str]
    told: bool = False
    named: bool = False
    numbers: Mapping[str, int] = {}

    @property
    def axes(self) -> dict[str, int]:
        """Return the side that may count samples, of each input that has one."""
        return {
            spec.name: axis
            for spec in self.inputs
            for axis, side in enumerate(spec.shape)
            if side in self.batch
        }


def _counts_by_first(shape: Shape, outputs: Sequence[Shape | None]) -> bool:
    """Tell whether the first side of an input, of a fixed length, may count samples.

    One of several does so for pictures, and where an output begins with as many, or may do so. Of
    one picture, as torchvision's detectors take it, it counts channels or rows, though their boxes
    may be of any number.
    """
    if not shape or not isinstance(shape[0], int):
        return False
    if shape[0] == 1 or len(shape) >= _PICTURE or not outputs:
        return True
    firsts = [None if one is None else next(iter(one), 0) for one in outputs]
    if shape[0] in firsts:
        return True
    picture = len(shape) == _PICTURE - 1 and _CHANNELS in (shape[0], shape[-1])
    return not picture and any(not isinstance(first, int) for first in firsts)


class Settled(NamedTuple):
    """The inputs with all that was found out.

    `only` is the one batch size that the model takes, if it takes no other, and `why`. `outputs`
    are the shapes of a trial's answers, with `batch` for the side that follows; empty without one.
    """

    inputs: tuple[InputSpec, ...]
    only: int | None = None
    why: str = ""
    outputs: tuple[tuple[int | str, ...], ...] = ()


def sides_of(
    inputs: tuple[InputSpec, ...], shapes: GivenShapes, outputs: Sequence[Shape | None] = ()
) -> Sides:
    """Return the sides of a file's inputs, with what `shapes` say of them.

    `outputs` have the sides that the file declares for its outputs, None for one without any.
    Raises `ConfigError` for shapes that do not fit the inputs.
    """
    told = _told(inputs, shapes)
    fixed = frozenset(one.name for one in inputs if _counts_by_first(one.shape, outputs))
    lengths = {name: side for name, side in told.items() if isinstance(side, int)}
    if len(lengths) < len(told):
        batch = tuple(name for name in told if name not in lengths)
        return Sides(with_sides(inputs, lengths), batch, fixed, told=True, named=True)
    names, named = batch_sides(inputs)
    if not named and len({lengths.get(name, 1) for name in names}) > 1:
        names = tuple(name for name in names if lengths.get(name, 1) == 1)
    numbers = {name: lengths.pop(name) for name in names if name in lengths}
    found = Sides(with_sides(inputs, lengths), names, fixed, False, named, numbers)
    if named and max(numbers.values(), default=1) > 1:
        raise _counts_samples(found)
    return found


def settled(
    sides: Sides, given: Samples | None, tried: Callable[[tuple[InputSpec, ...]], Outcome]
) -> Settled:
    """Return what the inputs are, with the help of samples and of a trial, if one is needed.

    `tried(inputs)` makes the trial. Raises `ConfigError`, with what to tell, where it is not clear
    how long a side is, or whether it counts samples: nothing is guessed.
    """
    lengths = {} if given is None else given.lengths(sides.inputs)
    missing = [name for name in _open(sides.inputs) if name not in {*lengths, *sides.batch}]
    if missing:
        raise ConfigError(_asked_for_lengths(sides, missing))
    known = {name: next(iter(some)) for name, some in lengths.items() if len(some) == 1}
    inputs = with_sides(sides.inputs, known)
    if not sides.batch:
        return _without_batch(sides, inputs, given)
    if given is not None and (fixed := [name for name in given.each if name not in sides.axes]):
        return _fixed(sides, inputs, given, 1, f"the first side of '{fixed[0]}' is fixed to 1")
    if sides.told:
        return _batched(sides, inputs)
    outcome, number = tried(inputs), max(sides.numbers.values(), default=1)
    if outcome.kind == "batch" or (outcome.kind == "untried" and _is_plain(sides, given)):
        if number > 1:
            raise _counts_samples(sides)
        return _batched(sides, inputs, outcome.outputs)
    if outcome.kind == "one" and number == 1:
        return _fixed(sides, inputs, given, 1, outcome.why, outcome.outputs)
    if given is None and len(sides.numbers) < len(sides.batch):
        raise ConfigError(_asked_for_batch(sides, outcome.why))
    return _fixed(sides, inputs, given, number, outcome.why)


def _batched(
    sides: Sides, inputs: tuple[InputSpec, ...], outputs: tuple[tuple[int | str, ...], ...] = ()
) -> Settled:
    named = with_sides(inputs, dict.fromkeys(sides.batch, BATCH))
    return Settled(_per_call(named, lambda spec: BATCH not in spec.shape), outputs=outputs)


def _fixed(
    sides: Sides,
    inputs: tuple[InputSpec, ...],
    given: Samples | None,
    length: int,
    why: str,
    outputs: tuple[tuple[int | str, ...], ...] = (),
) -> Settled:
    """Return the inputs of a model whose sides that may count samples have a fixed length."""
    with_samples = sides.axes if given is None else given.each
    fixed = with_sides(inputs, dict.fromkeys(sides.batch, length))
    found = _per_call(fixed, lambda spec: length > 1 or spec.name not in with_samples)
    return Settled(found, 1, why, outputs)


def _without_batch(sides: Sides, inputs: tuple[InputSpec, ...], given: Samples | None) -> Settled:
    """Return the inputs of a model without an open side that counts samples: a fixed one may."""
    once = {} if given is None else given.once
    whole = () if given is None else [name for name, axis in given.axes.items() if axis is None]
    opened = {spec.name for spec in inputs if spec.shape} - sides.fixed
    apart = opened.union(once, whole)
    found = _per_call(inputs, lambda spec: spec.name in apart)
    if not whole and (not opened or sides.fixed - apart):
        return Settled(found)
    return Settled(found, 1, "no side of its inputs counts samples")


def _per_call(
    inputs: tuple[InputSpec, ...], is_per_call: Callable[[InputSpec], bool]
) -> tuple[InputSpec, ...]:
    return tuple(msgspec.structs.replace(spec, per_call=is_per_call(spec)) for spec in inputs)


def _is_plain(sides: Sides, given: Samples | None) -> bool:
    """Tell whether sides are taken for the batch though the model could not be tried.

    They are if their names say so, if samples or a 1 in their place were given, and if they are the
    first sides of pictures.
    """
    if sides.named or given is not None or set(sides.numbers.values()) == {1}:
        return True
    return not sides.numbers and all(
        len(spec.shape) == _PICTURE for spec in sides.inputs if spec.name in sides.axes
    )


def _told(inputs: Sequence[InputSpec], shapes: GivenShapes) -> dict[str, int | str]:
    """Return what is told of each open side by its name: its length, or `batch`."""
    known = {spec.name: spec for spec in inputs}
    told: dict[str, tuple[int | str, str]] = {}
    for name, sides in shapes.items():
        if name not in known:
            raise ConfigError(f"shapes: it has no input '{name}'{suggestion(name, known)}")
        spec = known[name]
        if len(sides) != len(spec.shape):
            raise ConfigError(
                f"shapes: input '{name}' has {len(spec.shape)} sides, {written(spec.shape)}, and "
                f"{len(sides)} are given: {written(tuple(sides))}"
            )
        for axis, (side, given) in enumerate(zip(spec.shape, sides, strict=True)):
            if isinstance(side, int):
                if given not in (side, ANY):
                    raise ConfigError(
                        f"shapes: side {axis} of input '{name}' is {side} in the file, and {given} "
                        f"is given; export the model with that side open"
                    )
            elif given != ANY:
                other, whose = told.setdefault(side, (given, name))
                if {other, given} == {BATCH, 1}:  # one sample
                    told[side] = (BATCH, name)
                elif other != given:
                    raise ConfigError(
                        f"shapes: side '{side}' is {other} in '{whose}' and {given} in '{name}', "
                        f"and is the same in both"
                    )
    return {side: given for side, (given, _) in told.items()}


def _open(inputs: Sequence[InputSpec]) -> Iterator[str]:
    yield from dict.fromkeys(s for spec in inputs for s in spec.shape if isinstance(s, str))


def _asked_for_lengths(sides: Sides, missing: Sequence[str]) -> str:
    leaving = [spec for spec in sides.inputs if set(missing).intersection(spec.shape)]
    which = "; ".join(f"'{spec.name}' is {written(_shown(spec))}" for spec in leaving)
    return (
        f"its inputs have open sides of which nobody has said how long they are: {which}. "
        f"{_say(sides, leaving, '1')}. Or give samples: --samples FILE.npz, in a suite "
        f'samples = {{ {ITS_NAME} = "FILE.npz" }}'
    )


def _asked_for_batch(sides: Sides, why: str) -> str:
    asked = [spec for spec in sides.inputs if spec.name in sides.axes]
    which = " and ".join(f"'{spec.name}' {written(_shown(spec))}" for spec in asked)
    return (
        f"it is not clear whether the open side of its input {which} counts samples: {why}. "
        f"{_say(sides, asked, BATCH)}, or with a number in place of `{BATCH}` if it does not"
    )


def _counts_samples(sides: Sides) -> ConfigError:
    number = max(sides.numbers.values())
    name = next(spec.name for spec in sides.inputs if spec.name in sides.axes)
    return ConfigError(
        f"shapes: there is a {number} where input '{name}' counts samples; write 1 or `{BATCH}` "
        f"there, and say how many go into a call with --batch {number}, in a suite "
        f"batches = [{number}]"
    )


def _say(sides: Sides, asked: Sequence[InputSpec], batch: str) -> str:
    """Return how a user tells the sides of these inputs."""
    told = {
        spec.name: [
            batch if side in sides.batch else _placeholder(side, axis)
            for axis, side in enumerate(spec.shape)
        ]
        for spec in asked
    }
    options = " ".join(f"--shape {name}={'x'.join(words)}" for name, words in told.items())
    table = ", ".join(f"{toml_key(name)} = [{', '.join(words)}]" for name, words in told.items())
    table = table.replace(BATCH, f'"{BATCH}"') if batch == BATCH else table
    capitals = any(word.isupper() for words in told.values() for word in words)
    return (
        f"Say it with {options}, in a suite shapes = {{ {ITS_NAME} = {{ {table} }} }}"
        f"{', with numbers for the words in capitals' if capitals else ''}"
    )


def _placeholder(side: int | str, axis: int) -> str:
    if isinstance(side, int):
        return str(side)
    return side.upper() if side.isidentifier() else f"SIDE{axis}"


def _shown(spec: InputSpec) -> tuple[int | str, ...]:
    """Return the sides as the file has them: those without a name as `?`."""
    return tuple(
        ANY if isinstance(side, str) and side.endswith("]") else side for side in spec.shape
    )
