"""The sides of a graph's inputs: which are open, what they are called, which one is the batch."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from perfsuite.domain.model import InputSpec
from perfsuite.errors import ConfigError
from perfsuite.export.validity import kind_of_value

if TYPE_CHECKING:
    import onnx

# How many sides inputs have, by name, of those that are asked for.
Ranks = Callable[[Sequence[str]], Mapping[str, int]]

BATCH = "batch"
# The metadata key of a graph whose sides were settled: the names of the inputs without a batch.
SETTLED = "perfsuite.per_call"
ITS_NAME = "<its name>"  # of a model, in what is said of it by whoever does not know it

_BARE_KEY = re.compile("[A-Za-z0-9_-]+")  # of TOML

_NO_NAMES = frozenset({"", "?", "-1", "*", "none"})
# Names that say that a side counts samples, the surest first.
_SAMPLES = (
    re.compile(r"[^*+/]*batch[^*+/]*"),
    re.compile(r"bs?"),
    re.compile(r"n|(num_|n_)?(samples|images|pictures)"),
)
_PICTURE = 4  # sides of a batch of pictures
# Names that exporters make up, which say nothing.
_MADE_UP = re.compile(r".*\[\d+\]|(p2o\.)?dynamicdimension.*|unk.*|.*dynamic_ax.*|dim_?\d*|s\d+")
# Names that say that a side counts something else.
_OTHERS = re.compile(
    r"[tlhwdc]|.*(seq|len|time|step|token|word|frame|height|width|point|box|roi|proposal|"
    r"channel|depth|past|audio|position).*"
)


class BatchSides(NamedTuple):
    """The names of the open sides that may count samples, and whether their names say so."""

    names: tuple[str, ...]
    named: bool


def tensor_inputs(model: onnx.ModelProto) -> list[Any]:
    """Return the graph's inputs without those that are initializers, too."""
    constants = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in constants]


def lacks_shape(value: Any) -> bool:
    """Tell whether a value is a tensor of which not even the number of sides is known."""
    kind = value.type.WhichOneof("value")
    return kind == "tensor_type" and not value.type.tensor_type.HasField("shape")


def give_ranks(model: onnx.ModelProto, ranks: Ranks | None) -> None:
    """Give inputs of unknown shape as many open sides as `ranks` tells.

    Raises `ConfigError`, with what to tell, for an input of which it does not.
    """
    unknown = [value for value in tensor_inputs(model) if lacks_shape(value)]
    told = ranks([value.name for value in unknown]) if unknown and ranks is not None else {}
    for value in unknown:
        if value.name not in told:
            raise ConfigError(
                f"input '{value.name}': the file does not tell how many sides it has; say it with "
                f"--shape {value.name}=1x3x224x224 (with its own sides), in a suite shapes = "
                f"{{ {ITS_NAME} = {{ {toml_key(value.name)} = [1, 3, 224, 224] }} }}, or give "
                f"samples: --samples FILE.npz, in a suite samples = {{ {ITS_NAME} = "
                f'"FILE.npz" }}'
            )
        _set_rank(value, told[value.name])


def _set_rank(value: Any, rank: int) -> None:
    value.type.tensor_type.shape.SetInParent()
    for _ in range(rank):
        value.type.tensor_type.shape.dim.add()


def toml_key(name: str) -> str:
    """Return a name as a key of TOML: TensorFlow's `input:0` and PyTorch's `x.1` are quoted."""
    return name if _BARE_KEY.fullmatch(name) else f'"{name}"'


def declared(model: onnx.ModelProto) -> tuple[InputSpec, ...]:
    """Return the inputs as the file has them, each open side under a name.

    A side that has no name, or one that stands at two sides of its input, gets a name of its own,
    such as `x[2]`. Raises `ConfigError` for an input that is no tensor, or whose number of sides is
    not known.
    """
    from onnx import helper

    specs = []
    for value in tensor_inputs(model):
        if value.type.WhichOneof("value") != "tensor_type":
            raise ConfigError(
                f"input '{value.name}' is {kind_of_value(value)}, not a tensor; export the model "
                f"so that it takes tensors alone"
            )
        shape = _shape(value)
        if shape is None:
            raise ConfigError(f"input '{value.name}': how many sides it has is not known")
        dtype = helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        specs.append(InputSpec(value.name, str(dtype), shape))
    return tuple(specs)


def spec_of(model: onnx.ModelProto) -> tuple[InputSpec, ...]:
    """Return the inputs of a graph whose batch sides are named `batch`, as `load_graph` gives it.

    Inputs without such a side are `per_call` if another one has it, or if the graph says so.
    """
    without = settled(model) or ()
    specs = declared(model)
    batched = any(BATCH in spec.shape for spec in specs)
    return tuple(
        msgspec.structs.replace(
            spec, per_call=spec.name in without or (batched and BATCH not in spec.shape)
        )
        for spec in specs
    )


def batch_sides(specs: Sequence[InputSpec]) -> BatchSides:
    """Return which open sides count samples, as far as names and places tell it.

    Names come first. Without one, it is the first side of each input, unless its name says that it
    counts something else, or stands at a later side of another input. Beside sides with such names,
    the first sides without any, and those of other pictures, are taken for the same.
    """
    places: dict[str, set[int]] = {}
    for spec in specs:
        for axis, side in enumerate(spec.shape):
            if isinstance(side, str):
                places.setdefault(side, set()).add(axis)
    made_up = [name for name in places if _MADE_UP.fullmatch(name.lower())]
    told = [name for name in places if name not in made_up]
    first = [name for name, axes in places.items() if axes == {0}]
    for pattern in _SAMPLES:
        found = {name for name in told if pattern.fullmatch(name.lower())}
        if found:
            names = {name for spec in specs for name in _first_of(spec, found)}
            others = (spec for spec in specs if not found.intersection(spec.shape))
            names |= {
                side
                for spec in others
                for side in spec.shape[:1]
                if isinstance(side, str) and (side in made_up or _counts_pictures(spec))
            }
            return BatchSides(tuple(name for name in places if name in names), True)
    return BatchSides(
        tuple(name for name in first if name in made_up or not _OTHERS.fullmatch(name.lower())),
        False,
    )


def with_sides(specs: Sequence[InputSpec], sides: Mapping[str, int | str]) -> tuple[InputSpec, ...]:
    """Return the inputs with their open sides replaced by name, where `sides` has it."""
    return tuple(
        msgspec.structs.replace(
            spec,
            shape=tuple(sides.get(s, s) if isinstance(s, str) else s for s in spec.shape),
        )
        for spec in specs
    )


def settled(model: onnx.ModelProto) -> tuple[str, ...] | None:
    """Return the inputs without a batch of a graph that `settle` was called on; else None."""
    for entry in model.metadata_props:
        if entry.key == SETTLED:
            return tuple(map(str, json.loads(entry.value)))
    return None


def settle(model: onnx.ModelProto, specs: Sequence[InputSpec]) -> None:
    """Give the graph's inputs the sides of `specs`, and mark it so that nobody guesses them.

    Outputs and other values keep no name that one of the inputs' sides had.
    """
    name_sides(model, specs)
    without = [spec.name for spec in specs if spec.per_call]
    model.metadata_props.add(key=SETTLED, value=json.dumps(without))


def keep_settled(before: onnx.ModelProto, after: onnx.ModelProto) -> None:
    """Mark a graph that was made of another one as that was."""
    without = settled(before)
    if without is not None and settled(after) is None:
        after.metadata_props.add(key=SETTLED, value=json.dumps(list(without)))


def name_batch(model: onnx.ModelProto) -> None:
    """Name the sides that count samples `batch`, as far as the file tells which these are."""
    values = [value for value in tensor_inputs(model) if _shape(value) is not None]
    specs = tuple(InputSpec(value.name, "", _shape(value) or ()) for value in values)
    name_sides(model, with_sides(specs, dict.fromkeys(batch_sides(specs).names, BATCH)))


def name_sides(model: onnx.ModelProto, specs: Sequence[InputSpec]) -> None:
    """Write the sides of `specs` into the graph's inputs, and adapt its other values.

    A name that became another one for all inputs does so elsewhere, too; one that became several,
    or a number, is not known there any more.
    """
    became: dict[str, set[int | str]] = {}
    wanted = {spec.name: spec.shape for spec in specs}
    for value in tensor_inputs(model):
        sides = value.type.tensor_type.shape.dim
        for dim, side in zip(sides, wanted.get(value.name, ()), strict=False):
            if dim.HasField("dim_value") and dim.dim_value > 0:
                continue
            became.setdefault(dim.dim_param, set()).add(side)
            _write(dim, side)
    for dim in _other_sides(model):
        if dim.dim_param in became:
            found = became[dim.dim_param]
            name = next(iter(found)) if len(found) == 1 else None
            _write(dim, name if isinstance(name, str) and _is_name(dim.dim_param) else None)


def _other_sides(model: onnx.ModelProto) -> Iterator[Any]:
    """Yield the open sides of outputs and of values between."""
    for value in (*model.graph.output, *model.graph.value_info):
        for dim in value.type.tensor_type.shape.dim:
            if not dim.HasField("dim_value"):
                yield dim


def _write(dim: Any, side: int | str | None) -> None:
    dim.Clear()
    if isinstance(side, int):
        dim.dim_value = side
    elif side is not None:
        dim.dim_param = side


def _shape(value: Any) -> tuple[int | str, ...] | None:
    """Return the sides of a tensor, open ones by name; None where their number is not known."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    names = [dim.dim_param for dim in tensor.shape.dim]
    return tuple(
        int(dim.dim_value)
        if dim.HasField("dim_value") and dim.dim_value > 0
        else dim.dim_param
        if _is_name(dim.dim_param) and names.count(dim.dim_param) == 1
        else f"{value.name}[{axis}]"
        for axis, dim in enumerate(tensor.shape.dim)
    )


def _is_name(text: str) -> bool:
    return text.lower() not in _NO_NAMES


def _counts_pictures(spec: InputSpec) -> bool:
    """Tell whether the first side of pictures or videos is open, under a name that says nothing."""
    first = spec.shape[0] if len(spec.shape) >= _PICTURE else 0
    return isinstance(first, str) and not _OTHERS.fullmatch(first.lower())


def _first_of(spec: InputSpec, names: set[str]) -> list[str]:
    """Return the first side of an input that has one of these names."""
    return [side for side in spec.shape if isinstance(side, str) and side in names][:1]
