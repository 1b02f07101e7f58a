"""The declared stages of a model, held against its modules or its graph."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from perfsuite.domain.model import Stage
from perfsuite.domain.profile import OVERHEAD, UNATTRIBUTED
from perfsuite.errors import ConfigError
from perfsuite.export.spans import methods
from perfsuite.plugins import suggestion

if TYPE_CHECKING:
    from torch import nn


def check_names(workload: str, stages: Sequence[Stage]) -> None:
    """Raise `ConfigError` for stages that cannot be told apart, whatever model they are of."""
    names: set[str] = set()
    owners: dict[str, str] = {}
    for stage in stages:
        who = f"{workload}: stage '{stage.name}'"
        if not stage.name or stage.name in (OVERHEAD, UNATTRIBUTED):
            raise ConfigError(f"{who}: this cannot be its name; choose another")
        if stage.name in names:
            raise ConfigError(f"{who} is declared twice; put all its prefixes into one")
        names.add(stage.name)
        if not stage.modules or not all(stage.modules):
            raise ConfigError(f"{who} has no modules; give the prefixes of their paths")
        for prefix in stage.modules:
            if prefix in owners:
                raise ConfigError(f"{who}: '{prefix}' belongs to stage '{owners[prefix]}' already")
            owners[prefix] = stage.name


def check_module(workload: str, stages: Sequence[Stage], module: nn.Module) -> None:
    """Raise `ConfigError` for a prefix that is neither the path of a module nor of a method."""
    for stage in stages:
        try:
            methods(module, stage.modules)
        except ConfigError as error:
            raise ConfigError(f"{workload}: stage '{stage.name}': {error}") from error


def check_graph(workload: str, stages: Sequence[Stage], paths: Iterable[str]) -> None:
    """Raise `ConfigError` for a prefix that no node's path has."""
    known = {path for path in paths if path}
    for stage in stages:
        for prefix in stage.modules:
            if not any(path == prefix or path.startswith(f"{prefix}.") for path in known):
                raise ConfigError(
                    f"{workload}: stage '{stage.name}': no node of the graph belongs to "
                    f"'{prefix}'{suggestion(prefix, known)}"
                )


def spans(stages: Sequence[Stage], module: nn.Module) -> tuple[str, ...]:
    """Return the prefixes that are methods of `module`, of which a pass may have left nothing."""
    found: list[str] = []
    for stage in stages:
        for prefix in stage.modules:
            try:
                found += methods(module, [prefix])
            except ConfigError:
                continue  # `check_module` tells of mistakes, of the model as it was built
    return tuple(found)
