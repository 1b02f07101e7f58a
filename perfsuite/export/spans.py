"""Methods as parts of a model: they get a scope of their own in graphs, and hooks in eager mode.

torchvision's proposals and post-processing are methods, not modules: exporters and profilers see
them as part of the module that they belong to.
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
    """Let each method among `paths` be a submodule for the time being, under its own path.

    `rpn.filter_proposals` is the method `filter_proposals` of the submodule `rpn`. It is called as
    before; exporters write its path as a scope, and `named_modules` finds it for hooks. Paths of
    modules, and prefixes of them, are left as they are. Raises `ConfigError` for a path that is
    neither.
    """
    methods = [split for path in paths if (split := _method(module, path)) is not None]
    placed: list[tuple[nn.Module, str]] = []
    try:
        for owner, name in methods:
            if name not in owner._modules:
                span = _span()(getattr(owner, name))
                # A class's method is found before a submodule, an instance's attribute before it.
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
    """Return the module and the name of the method at `path`, None if a module is there."""
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
        """Calls a method; its forward is what a hook on it sees."""

        def __init__(self, method: Any) -> None:
            super().__init__()
            self.training = method.__self__.training
            self.method = method

        def forward(self, *arguments: Any, **named: Any) -> Any:
            return self.method(*arguments, **named)

    return Span
