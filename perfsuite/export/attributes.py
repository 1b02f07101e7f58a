"""What modules keep of themselves in attributes, put back after calls that change it."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

# Of other kinds nobody knows what they hold.
_CONTAINERS = (list, deque, dict, OrderedDict, defaultdict, set)
_PLAIN = (bool, int, float, complex, str, bytes)  # that are the same if they are equal


class Attributes:
    """The attributes of one module as they are now, and what lists, dicts and sets of it hold.

    The values of its `tensors` are left to whoever remembers them.
    """

    def __init__(self, module: nn.Module) -> None:
        from torch.nn.modules.lazy import LazyModuleMixin

        # A lazy module becomes another one in its first call, and has to keep what that gave it.
        self.changes = isinstance(module, LazyModuleMixin)
        self._held = module.__dict__
        self._before = {} if self.changes else dict(self._held)
        self._contents = [(one, list(_inside(one))) for one in containers(self._before.values())]

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield the tensors among the attributes, and in what they hold."""
        import torch

        held = (value for _, items in self._contents for _, value in items)
        for value in (*self._before.values(), *held):
            if isinstance(value, torch.Tensor):
                yield value

    def changed(self) -> Iterator[str]:
        """Yield the names of attributes that are others now, or hold something else.

        Whether the values of tensors are as they were, only their rememberer knows.
        """
        # Of torch: its tensors have names of their own, and calls set the mode.
        own = {"_parameters", "_buffers", "_modules", "training"}
        now = {} if self.changes else self._held
        other = {
            id(container)
            for container, items in self._contents
            if not _same(items, list(_inside(container)))
        }
        for name, value in now.items():
            if name in own:
                continue
            before = self._before.get(name, self)  # itself is no attribute's value
            inside = containers([before])
            if not _same_value(before, value) or any(id(one) in other for one in inside):
                yield name

    def restore(self) -> None:
        """Put the attributes back, and what lists, dicts and sets among them held."""
        if self.changes:
            return
        for name in self._held.keys() - self._before.keys():
            del self._held[name]
        self._held.update(self._before)
        for container, items in self._contents:
            container.clear()
            if isinstance(container, dict):
                container.update(items)
            elif isinstance(container, set):
                container.update(value for _, value in items)
            else:
                container.extend(value for _, value in items)


def _same(before: Sequence[tuple[Any, Any]], now: Sequence[tuple[Any, Any]]) -> bool:
    """Tell whether a container holds what it did."""
    return len(before) == len(now) and all(
        one[0] == other[0] and _same_value(one[1], other[1])
        for one, other in zip(before, now, strict=True)
    )


def _same_value(before: Any, now: Any) -> bool:
    if before is now:
        return True
    return type(before) is type(now) and isinstance(now, _PLAIN) and bool(before == now)


def containers(values: Iterable[Any]) -> list[Any]:
    """Return the lists, dicts and sets among some values, and those in them, each once."""
    found: dict[int, Any] = {}
    waiting = [value for value in values if type(value) in _CONTAINERS]
    while waiting:
        container = waiting.pop()
        if id(container) in found:
            continue
        found[id(container)] = container
        waiting += [value for _, value in _inside(container) if type(value) in _CONTAINERS]
    return list(found.values())


def _inside(container: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what a container holds, each with its key or place."""
    if isinstance(container, dict):
        yield from container.items()
    else:
        yield from enumerate(container)
