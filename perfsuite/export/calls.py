"""How a torch module is called with named arrays, and which tensors its answer holds.

Whatever it is called for, a user's module gets arrays of its own, because its code may change them
in place, and is called in evaluation mode, whatever its `train` returns.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import takewhile
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.task import Inputs
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.export.wrappers import eagerly

if TYPE_CHECKING:
    import torch
    from torch import nn

Caller = Callable[[Sequence["torch.Tensor"]], Any]
_Parameter = inspect.Parameter

_PLACES = (_Parameter.POSITIONAL_ONLY, _Parameter.POSITIONAL_OR_KEYWORD)
_NAMES = (_Parameter.POSITIONAL_OR_KEYWORD, _Parameter.KEYWORD_ONLY)
_LIST = re.compile(r"(typing\.|collections\.abc\.|Optional\[)*(list|sequence|iterable)\b", re.I)
_TUPLE = re.compile(r"(typing\.|Optional\[)*tuple\b", re.I)
_DICT = re.compile(r"(typing\.|collections\.abc\.|Optional\[)*(dict|ordereddict|mapping)\b", re.I)
_PACKED = (_LIST, _TUPLE, _DICT)
_PLAIN = (type(None), bool, int, float, complex, str, bytes)


def evaluated(module: nn.Module) -> nn.Module:
    """Return `module`, put into evaluation mode; a `train` of its own may return nothing."""
    module.eval()
    return module


def copies(inputs: Inputs) -> Inputs:
    """Return the arrays in memory of their own."""
    return {name: np.array(array, order="C") for name, array in inputs.items()}


def tensors_of(inputs: Inputs) -> list[torch.Tensor]:
    """Return the arrays as tensors with memory of their own, in their order."""
    return [tensor_of(array) for array in copies(inputs).values()]


def tensor_of(array: np.ndarray) -> torch.Tensor:
    """Return a tensor of the array's memory, or of a copy where torch cannot take that.

    Torch takes no reversed axis (`pictures[..., ::-1]`), no foreign byte order, and no memory that
    is only for reading. Raises `ConfigError` for an array that holds no numbers.
    """
    import torch

    if array.flags.writeable and array.flags.c_contiguous:  # the usual case, in timed calls too
        with suppress(TypeError, ValueError):
            return torch.from_numpy(array)
    if array.dtype.hasobject or array.dtype.kind not in "biufc":
        raise ConfigError(
            f"an input has the type {array.dtype}, and a torch module takes numbers; let inputs() "
            f"give arrays of numbers, such as float32"
        )
    try:
        return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
    except TypeError as error:
        raise ConfigError(f"an input has the type {array.dtype}, which torch has not") from error


def caller(module: nn.Module, names: Sequence[str]) -> Caller:
    """Return a function that calls `module` with tensors, which are in the order of `names`.

    Inputs whose names are parameters of `forward` go to these, all others in their order to the
    first parameters that are left; all go in their order where that would leave out one that
    `forward` needs. A `forward` with one parameter, annotated as a list, tuple or dict of tensors,
    gets that: of one input the list of its samples (detectors take a list of pictures), of several
    the list of these; in a dict they have their names. So does one that has no place for all.
    """
    parameters = _parameters(module)
    if parameters is None:
        return lambda tensors: module(*tensors)
    packed = _packing(parameters, names)
    if packed is not None:
        return lambda tensors: module(packed(tensors))
    places, keys = _bound(parameters, names)
    if _in_order(places, keys, names):
        return lambda tensors: module(*tensors)
    return lambda tensors: module(
        *(tensors[index] for index in places), **{name: tensors[index] for index, name in keys}
    )


def call_one(module: nn.Module, given: torch.Tensor) -> Any:
    """Return what `module` answers to a batch that is its one input, whatever the input's name."""
    parameters = _parameters(module) or []
    named = [one for one in parameters if one.kind is _Parameter.KEYWORD_ONLY]
    places = [one for one in parameters if one.kind in _PLACES] or sorted(
        named, key=lambda one: one.default is not _Parameter.empty
    )
    return caller(module, [one.name for one in places[:1]] or ["x"])([given])


def lacks_places(module: nn.Module, count: int) -> str:
    """Return what `forward` takes, as text, if that is more or fewer than `count` inputs; else ''.

    It is '' as well where `forward` does not tell, or takes all inputs in one list or dict.
    """
    parameters = _parameters(module)
    if parameters is None or any(one.kind not in (*_PLACES, *_NAMES) for one in parameters):
        return ""
    if len(parameters) == 1 and any(kind.match(_word(parameters[0])) for kind in _PACKED):
        return ""
    required = sum(one.default is _Parameter.empty for one in parameters)
    if required <= count <= len(parameters):
        return ""
    names = ", ".join(one.name for one in parameters) or "none"
    return f"{len(parameters)} input{'s' * (len(parameters) != 1)} ({names})"


def answer(module: nn.Module, inputs: Inputs) -> list[torch.Tensor]:
    """Return the tensors that `module` answers to arrays, which stay as they are."""
    return tensors_in(called(module, inputs), type(module).__name__)


def called(module: nn.Module, inputs: Inputs) -> Any:
    """Return what `module` answers to arrays, which stay as they are; nothing is compiled."""
    with eagerly():
        return caller(module, list(inputs))(tensors_of(inputs))


def tensors_in(found: Any, who: str = "the model") -> list[torch.Tensor]:
    """Return the tensors in an answer of the module called `who`, in their order.

    That is the order of lists and tuples, that in which entries were put into a dict, and that of
    the fields of a dataclass or a named tuple; what is nested is taken in its place. None, numbers
    and texts are left out. Raises `Unsupported` for anything else.
    """
    tensors: list[torch.Tensor] = []
    for leaf in _leaves(found):
        if _is_tensor(leaf):
            tensors.append(leaf)
        elif not isinstance(leaf, _PLAIN):
            raise Unsupported(
                f"{who}: its forward answers a {type(leaf).__name__}, and what "
                f"tensors that holds is not known; let it return tensors, alone or in tuples, "
                f"lists, dicts or dataclasses"
            )
    return tensors


@contextmanager
def flattened(module: nn.Module, inputs: Inputs) -> Iterator[None]:
    """Let `forward` take tensors in their order and give a tuple of others, within the context.

    It is for exporters, which know neither dataclasses nor keywords, and write a graph that is not
    valid where an input, or one tensor twice, is an answer. A module whose `forward` is as they
    want it, when it is called with `inputs`, stays as it is.
    """
    with slow_attention(), _flattened(module, inputs):
        yield


@contextmanager
def slow_attention() -> Iterator[None]:
    """Keep torch from running a whole attention as one operation, which no graph knows."""
    import torch

    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def _flattened(module: nn.Module, inputs: Inputs) -> Iterator[None]:
    import torch

    names, given = list(inputs), tensors_of(inputs)
    found = caller(module, names)(given)
    scripted = isinstance(module, torch.jit.ScriptModule)  # exported from its own code
    alone = _is_exportable(found) and not _repeated(_leaves(found), given)
    if scripted or (alone and _is_positional(module, names)):
        yield
        return
    before, own = module.forward, "forward" in vars(module)
    call = caller(_Bare(before), names)  # type: ignore[arg-type]

    def forward(*tensors: Any) -> Any:
        answers = tensors_in(call(tensors), type(module).__name__)
        again = _repeated(answers, tensors)
        return tuple(one.clone() if i in again else one for i, one in enumerate(answers))

    module.forward = forward
    try:
        yield
    finally:
        if own:
            module.forward = before
        else:
            del module.forward


class _Bare:
    """Calls a `forward`, as a module without hooks would."""

    def __init__(self, forward: Callable[..., Any]) -> None:
        self.forward = forward

    def __call__(self, *given: Any, **named: Any) -> Any:
        return self.forward(*given, **named)


def _repeated(answers: Iterable[Any], given: Sequence[torch.Tensor]) -> set[int]:
    """Return which answers are an input, or an earlier answer once more."""
    seen, found = {id(one) for one in given}, set()
    for index, one in enumerate(answers):
        if id(one) in seen:
            found.add(index)
        seen.add(id(one))
    return found


def _is_tensor(value: Any) -> bool:
    import torch

    return isinstance(value, torch.Tensor)


def _leaves(value: Any) -> Iterator[Any]:
    if _is_tensor(value):
        yield value
        return
    if isinstance(value, Mapping):
        value = list(value.values())
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        value = [getattr(value, field.name) for field in dataclasses.fields(value)]
    if isinstance(value, list | tuple):
        for part in value:
            yield from _leaves(part)
    else:
        yield value


def _is_exportable(value: Any) -> bool:
    """Tell whether both exporters give the tensors of an answer, all of them, in their order."""
    if type(value) is dict:
        return all(map(_is_exportable, value.values()))
    if type(value) in (list, tuple):
        return all(map(_is_exportable, value))
    return _is_tensor(value)


def _is_positional(module: nn.Module, names: Sequence[str]) -> bool:
    parameters = _parameters(module)
    if parameters is None:
        return True
    return _packing(parameters, names) is None and _in_order(*_bound(parameters, names), names)


def _parameters(module: nn.Module) -> list[_Parameter] | None:
    """Return the parameters of `forward`; None where it does not tell them."""
    try:
        return list(inspect.signature(module.forward).parameters.values())
    except (TypeError, ValueError):
        return None


def _bound(
    parameters: Sequence[_Parameter], names: Sequence[str]
) -> tuple[list[int], list[tuple[int, str]]]:
    """Return which inputs are given in order and which by keyword, by their numbers."""
    places = [one.name for one in parameters if one.kind in _PLACES]
    goes = _goes_to(parameters, places, names)
    if goes is None:
        only = {one.name for one in parameters if one.kind is _Parameter.KEYWORD_ONLY}
        keys = [(index, name) for index, name in enumerate(names) if name in only]
        return [index for index, name in enumerate(names) if name not in only], keys
    at = {goes[name]: index for index, name in enumerate(names)}
    first = list(takewhile(at.__contains__, places))
    return [at[one] for one in first], [(at[one], one) for one in at if one not in first]


def _in_order(places: Sequence[int], keys: Sequence[Any], names: Sequence[str]) -> bool:
    return not keys and list(places) == list(range(len(names)))


def _goes_to(
    parameters: Sequence[_Parameter], places: Sequence[str], names: Sequence[str]
) -> dict[str, str] | None:
    """Return the parameter that each input goes to; None if one, or what is needed, has none."""
    kinds = {one.kind for one in parameters}
    known = [one for one in parameters if one.kind in (*_PLACES, *_NAMES)]
    named = {one.name for one in known} & set(names)
    others = [name for name in names if name not in named]
    free = [place for place in places if place not in named]
    goes = {name: name for name in named} | dict(zip(others, free, strict=False))
    left = others[len(free) :]
    if _Parameter.VAR_KEYWORD in kinds and _Parameter.VAR_POSITIONAL not in kinds:
        goes, left = goes | {name: name for name in left}, []
    required = {one.name for one in known if one.default is _Parameter.empty}
    return goes if not left and required <= set(goes.values()) else None


def _packing(parameters: Sequence[_Parameter], names: Sequence[str]) -> Caller | None:
    """Return how to pack all tensors into one argument; None where they are given one by one."""
    places = [one for one in parameters if one.kind in _PLACES]
    required = [one for one in places if one.default is _Parameter.empty]
    if len(required) > 1 or not places or any(one.name in names for one in places[1:]):
        return None
    word = _word(places[0])
    for pattern, kind in ((_LIST, list), (_TUPLE, tuple)):
        if pattern.match(word):
            return lambda tensors, kind=kind: kind(  # type: ignore[misc]
                tensors[0].unbind(0) if len(tensors) == 1 else tensors
            )
    if _DICT.match(word) or _lacks_place(parameters, places, names):
        return lambda tensors: dict(zip(names, tensors, strict=True))
    return None


def _word(parameter: _Parameter) -> str:
    """Return the annotation of a parameter as text; '' if it has none."""
    said = parameter.annotation
    word = said if isinstance(said, str) else "" if said is _Parameter.empty else str(said)
    return said.__name__ if isinstance(said, type) and "[" not in word else word


def _lacks_place(
    parameters: Sequence[_Parameter], places: Sequence[_Parameter], names: Sequence[str]
) -> bool:
    """Tell whether there are several inputs, and one parameter that has to take them all."""
    others = [one for one in parameters if one.kind not in _PLACES]
    return len(names) > 1 and len(places) == 1 and not others
