"""Functions that a module holds and that refer to it, made to refer to its copy.

`copy.deepcopy` copies no function, so a hook that stores features in the net around it (by a
closure, a default value or a weak reference) would store those of a copy in the original, and the
copy would read what an earlier call has left.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from functools import partial
from types import CellType, FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from perfsuite.export.attributes import containers

if TYPE_CHECKING:
    from torch import nn


def rebind(copied: nn.Module, copies: dict[int, Any]) -> None:
    """Have the functions in `copied` refer to it where they refer to what it is a copy of.

    `copies` is what `copy.deepcopy` has remembered: the copy of each object, by the object's `id`.
    """
    for part in copied.modules():
        for held in (vars(part), *containers(vars(part).values())):
            places: Iterable[tuple[Any, Any]] = ()
            if isinstance(held, dict):
                places = list(held.items())
            elif isinstance(held, list):
                places = list(enumerate(held))
            for place, value in places:
                if isinstance(value, _REFERRING) and _refers(value, copies, set()):
                    held[place] = _rebound(value, copies)


_REFERRING = (FunctionType, MethodType, partial, weakref.ref)


def _parts(value: Any) -> Iterator[Any]:
    """Yield what a function, or a plain container in its reach, refers to."""
    if isinstance(value, FunctionType):
        yield from (*(value.__closure__ or ()), *(value.__defaults__ or ()))
        yield from (value.__kwdefaults__ or {}).values()
    elif isinstance(value, CellType):
        try:
            yield value.cell_contents
        except ValueError:  # it is empty
            return
    elif isinstance(value, MethodType):
        yield from (value.__self__, value.__func__)
    elif isinstance(value, partial):
        yield from (value.func, *value.args, *value.keywords.values())
    elif type(value) is weakref.ref:
        yield value()
    elif type(value) in (list, tuple):
        yield from value
    elif type(value) is dict:
        yield from value.values()


def _refers(value: Any, copies: dict[int, Any], seen: set[int]) -> bool:
    """Tell whether anything in the reach of `value` has been copied."""
    if id(value) in copies:
        return True
    if id(value) in seen:
        return False
    seen.add(id(value))
    return any(_refers(one, copies, seen) for one in _parts(value))


def _rebound(value: Any, copies: dict[int, Any]) -> Any:
    """Return `value` with copies in the place of what has been copied; it is remembered as one."""
    if id(value) in copies or not _refers(value, copies, set()):
        return copies.get(id(value), value)

    def each(values: Iterable[Any]) -> tuple[Any, ...]:
        return tuple(_rebound(one, copies) for one in values)

    def named(values: dict[Any, Any]) -> dict[Any, Any]:
        return dict(zip(values, each(values.values()), strict=True))

    if isinstance(value, CellType):
        cell = copies[id(value)] = CellType()  # before its contents, which may refer to it
        (cell.cell_contents,) = each(_parts(value))
        return cell
    if isinstance(value, FunctionType):
        made: Any = _same_code(value, each(value.__closure__ or ()))
        made.__defaults__ = value.__defaults__ and each(value.__defaults__)
        made.__kwdefaults__ = value.__kwdefaults__ and named(value.__kwdefaults__)
    elif isinstance(value, MethodType):
        made = MethodType(*reversed(each(_parts(value))))
    elif isinstance(value, partial):
        function, *given = each((value.func, *value.args))
        made = partial(function, *given, **named(value.keywords))
    elif type(value) is weakref.ref:
        made = weakref.ref(*each(_parts(value)))
    else:
        made = named(value) if isinstance(value, dict) else type(value)(each(value))
    copies[id(value)] = made
    copies.setdefault(id(copies), []).append(value)  # so that no other object gets its id
    return made


def _same_code(function: FunctionType, closure: tuple[Any, ...]) -> FunctionType:
    """Return a function with another closure."""
    made = FunctionType(function.__code__, function.__globals__, function.__name__, None, closure)
    made.__qualname__, made.__module__ = function.__qualname__, function.__module__
    made.__doc__, made.__annotations__ = function.__doc__, function.__annotations__
    vars(made).update(vars(function))
    return made
