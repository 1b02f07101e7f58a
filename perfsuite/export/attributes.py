"""What modules keep of themselves in attributes, put back after calls that change it."""

from __future__ import annotations

from collections import OrderedDict, defaultdict, deque
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import nn

# Of other kinds nobody knows what they hold.
_CONTAINERS = (list, deque, dict, OrderedDict, defaultdict, set)


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
        self._contents = [(one, list(_inside(one))) for one in _containers(self._before.values())]

    def tensors(self) -> Iterator[torch.Tensor]:
        """Yield the tensors among the attributes, and in what they hold."""
        import torch

        held = (value for _, items in self._contents for _, value in items)
        for value in (*self._before.values(), *held):
            if isinstance(value, torch.Tensor):
                yield value

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


def _containers(values: Iterable[Any]) -> list[Any]:
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
