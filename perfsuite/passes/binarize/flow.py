"""How the values of a call follow from each other: what reads inputs, feeds outputs, is added."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import torch
    from torch import nn

_PRODUCTS = ("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "linear")
_NO_CALL = -1


class Value(NamedTuple):
    """What one operation gave: of which values, and in which call of a layer."""

    parents: tuple[int, ...]
    call: int  # an index of `Flow.calls`
    adds: bool  # it is the sum of two values with pictures of the same sides


class Flow:
    """The values of one call of a net that follow from its inputs, in their order.

    `calls` are the paths of the layers that were called, '' for products that no module of a layer
    computes.
    """

    def __init__(self) -> None:
        self.values: list[Value] = []
        self.calls: list[str] = []
        self.inputs: set[int] = set()
        self.outputs: set[int] = set()
        self._known: dict[int, set[int]] = {}

    def firsts(self) -> set[str]:
        """Return the layers that read an input through no other layer."""
        begins = {
            value.call
            for value in self.values
            if value.call != _NO_CALL and not self.inputs.isdisjoint(self._beside(value))
        }
        return self._named(begins)

    def lasts(self) -> set[str]:
        """Return the layers that an output follows from through no other layer.

        What a shortcut around layers brings does not count: it comes from layers before these.
        """
        found, seen, waiting = set(), set(self.outputs), list(self.outputs)
        while waiting:
            index = waiting.pop()
            value = self.values[index]
            if value.call != _NO_CALL:
                found.add(value.call)
                continue
            for parent in set(value.parents) - self._brought(value) - seen:
                seen.add(parent)
                waiting.append(parent)
        return self._named(found)

    def bypassed(self, path: str, passes: Callable[[str], bool]) -> bool:
        """Tell whether a shortcut leads around a layer alone, in one of its calls.

        It begins with what the layer reads, before or after operations that are no layers, and is
        added to what it gives. There may be one layer on the way that `passes` real values.
        """
        mine = {call for call, name in enumerate(self.calls) if name == path}
        read = [value for value in self.values if value.call in mine]
        source = {index for value in read for index in self._beside(value)}
        return any(
            self._made_by(given, mine) and self._reaches(beside, source, passes)
            for value in self.values
            if value.adds
            for given, beside in (value.parents, value.parents[::-1])
        )

    def _named(self, calls: set[int]) -> set[str]:
        return {self.calls[call] for call in calls} - {""}

    def _near(self, index: int) -> set[int]:
        """Return a value and those that it follows from, up to results of layers."""
        if index in self._known:
            return self._known[index]
        seen, waiting = {index}, [index]
        while waiting:
            value = self.values[waiting.pop()]
            if value.call == _NO_CALL:
                waiting += set(value.parents) - seen
                seen.update(value.parents)
        self._known[index] = seen
        return seen

    def _beside(self, value: Value) -> set[int]:
        """Return the values that an operation of a layer reads, and what these follow from."""
        outside = (one for one in value.parents if self.values[one].call != value.call)
        return {index for parent in outside for index in self._near(parent)}

    def _made_by(self, index: int, calls: set[int]) -> bool:
        return any(self.values[one].call in calls for one in self._near(index))

    def _reaches(self, index: int, source: set[int], passes: Callable[[str], bool]) -> bool:
        near = self._near(index)
        if near & source:
            return True
        layers = (self.values[one] for one in near if self.values[one].call != _NO_CALL)
        return any(
            passes(self.calls[value.call]) and not source.isdisjoint(self._beside(value))
            for value in layers
        )

    def _brought(self, value: Value) -> set[int]:
        """Return the one of two values that are added which the other follows from, if one does."""
        if not value.adds:
            return set()
        one, other = value.parents
        if one in self._origins(other):
            return {one}
        return {other} if other in self._origins(one) else set()

    def _origins(self, index: int) -> set[int]:
        """Return all values that one follows from."""
        seen, waiting = {index}, [index]
        while waiting:
            parents = set(self.values[waiting.pop()].parents) - seen
            waiting += parents
            seen |= parents
        return seen


@contextmanager
def followed(model: nn.Module, layers: Mapping[str, nn.Module]) -> Iterator[Callable[..., Flow]]:
    """Follow one call of `model` in the context; of its answer's tensors get the `Flow`."""
    from torch.utils._python_dispatch import TorchDispatchMode
    from torch.utils._pytree import tree_leaves

    noted = _Noted()

    class Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            result = func(*args, **(kwargs or {}))
            noted.add(func, args, kwargs or {}, result)
            return result

    def begin(_: nn.Module, args: Any, kwargs: Any) -> None:
        for one in tree_leaves((args, kwargs)):
            noted.give(one)

    with ExitStack() as stack:
        stack.callback(model.register_forward_pre_hook(begin, with_kwargs=True).remove)
        for path, layer in layers.items():
            stack.callback(layer.register_forward_pre_hook(noted.enter(path)).remove)
            stack.callback(layer.register_forward_hook(noted.leave).remove)
        stack.enter_context(Watch())  # type: ignore[no-untyped-call]
        yield noted.ended


class _Noted:
    """Notes which value each tensor holds at present."""

    def __init__(self) -> None:
        from torch.utils.weak import WeakIdKeyDictionary

        self.flow = Flow()
        self.held: Any = WeakIdKeyDictionary()
        self.whole: Any = WeakIdKeyDictionary()  # of views, the tensors that they are parts of
        self.running: list[int] = []

    def give(self, tensor: Any) -> None:
        """Note an input of the model."""
        import torch

        if isinstance(tensor, torch.Tensor) and tensor not in self.held:
            self.flow.inputs.add(len(self.flow.values))
            self._hold(tensor, Value((), _NO_CALL, False))

    def enter(self, path: str) -> Callable[..., None]:
        def run(*_: Any) -> None:
            self.running.append(self._called(path))

        return run

    def leave(self, *_: Any) -> None:
        self.running.pop()

    def ended(self, answers: list[torch.Tensor]) -> Flow:
        """Return what was followed, up to these answers."""
        self.flow.outputs = {self.held[one] for one in answers if one in self.held}
        return self.flow

    def add(self, func: Any, args: Any, named: Any, result: Any) -> None:
        """Note an operation, if a tensor that it reads follows from an input."""
        import torch
        from torch.utils._pytree import tree_leaves

        read = [one for one in tree_leaves((args, named)) if isinstance(one, torch.Tensor)]
        gives = [one for one in tree_leaves(result) if isinstance(one, torch.Tensor)]
        if read and getattr(func, "is_view", False):
            for one in gives:
                self.whole[one] = self.whole.get(read[0], read[0])
        known = [one for one in read if one in self.held]
        if not known:
            return
        name = func.overloadpacket.__name__.strip("_") if hasattr(func, "overloadpacket") else ""
        call = self.running[-1] if self.running else _NO_CALL
        if call == _NO_CALL and len(known) < len(read) and _is_product(name):
            call = self._called("")
        parents = tuple(dict.fromkeys(self.held[one] for one in known))
        adds = name == "add" and len(parents) == 2 and _alike(args[:2])
        value = Value(parents, call, adds)
        written = list(_written(func, args))
        for one in (*gives, *written):
            self._hold(one, value)
        for one in written:
            whole = self.whole.get(one)
            if whole is not None and whole is not one:
                before = [self.held[whole]] if whole in self.held else []
                self._hold(whole, Value((*before, self.held[one]), call, False))

    def _called(self, path: str) -> int:
        self.flow.calls.append(path)
        return len(self.flow.calls) - 1

    def _hold(self, tensor: torch.Tensor, value: Value) -> None:
        self.held[tensor] = len(self.flow.values)
        self.flow.values.append(value)


def _is_product(name: str) -> bool:
    return name in _PRODUCTS or "conv" in name


def _alike(pair: Any) -> bool:
    """Tell whether two values have pictures of the same sides and as many channels."""
    import torch

    both = all(isinstance(one, torch.Tensor) for one in pair)
    return len(pair) == 2 and both and pair[0].ndim == 4 and pair[0].shape == pair[1].shape


def _written(func: Any, args: Any) -> Iterator[torch.Tensor]:
    """Yield the tensors that an operation writes to, of those that it is given by place."""
    import torch

    schema = getattr(func, "_schema", None)
    for argument, value in zip(schema.arguments if schema else (), args, strict=False):
        info = argument.alias_info
        if info is not None and info.is_write and isinstance(value, torch.Tensor):
            yield value
