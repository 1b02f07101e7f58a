"""Methods as parts of a model: they get a scope of their own in graphs and for hooks.

torchvision's proposals and post-processing are methods, not modules, which exporters and profilers
would not tell from the rest of their module.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from perfsuite.errors import ConfigError
from perfsuite.plugins import suggestion

if TYPE_CHECKING:
    from torch import nn


@contextmanager
def spans(module: nn.Module, paths: Iterable[str]) -> Iterator[None]:
    """Replace each method among `paths` by a submodule of that path, within the context.

    `rpn.filter_proposals` is the method `filter_proposals` of the submodule `rpn`. It is called as
    before, but exporters write its path as a scope, and `named_modules` finds it for hooks. Paths
    of modules, and prefixes of them, are ignored. Raises `ConfigError` for a path that is neither.
    """
    methods = [split for path in paths if (split := _method(module, path)) is not None]
    placed: list[tuple[nn.Module, str]] = []
    try:
        for owner, name in methods:
            if name not in owner._modules:
                span = _span()(getattr(owner, name))
                # As an attribute of the instance, it is found before the method of the class.
                owner._modules[name] = owner.__dict__[name] = span
                placed.append((owner, name))
        yield
    finally:
        for owner, name in placed:
            del owner._modules[name], owner.__dict__[name]


def methods(module: nn.Module, paths: Iterable[str]) -> tuple[str, ...]:
    """Return those of `paths` that are methods; raise `ConfigError` as `spans` does."""
    return tuple(path for path in paths if _method(module, path) is not None)


def _method(module: nn.Module, path: str) -> tuple[nn.Module, str] | None:
    """Return the module and the name of the method at `path`; None for the path of a module."""
    from torch import nn

    modules = dict(module.named_modules())
    if path in modules:
        return None
    parent, _, name = path.rpartition(".")
    owner = modules.get(parent)
    found = getattr(type(owner), name, None) if owner is not None else None
    if owner is None or not callable(found) or hasattr(nn.Module, name):
        raise ConfigError(
            f"{type(module).__name__} has no module and no method '{path}'"
            f"{suggestion(path, [known for known in modules if known])}"
        )
    return owner, name


@cache
def _span() -> Any:
    from torch import nn

    class Span(nn.Module):
        """Calls a method in `forward`, so that hooks see the call."""

        def __init__(self, method: Any) -> None:
            super().__init__()
            self.training = method.__self__.training
            self.method = method

        def forward(self, *arguments: Any, **named: Any) -> Any:
            return self.method(*arguments, **named)

    return Span
