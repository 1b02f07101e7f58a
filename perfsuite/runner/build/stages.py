"""The declared stages of a workload, checked against its model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from perfsuite.domain.model import Stage
from perfsuite.errors import ConfigError
from perfsuite.export.spans import methods
from perfsuite.measure.stages import check_stages

if TYPE_CHECKING:
    from torch import nn


def check(workload: str, stages: Sequence[Stage], paths: Iterable[str]) -> None:
    """Raise `ConfigError`, with the workload's name, for stages that do not fit its `paths`."""
    try:
        check_stages(stages, paths)
    except ConfigError as error:
        raise ConfigError(f"{workload}: {error}") from error


def prefixes(stages: Sequence[Stage]) -> list[str]:
    """Return the prefixes of all stages."""
    return [prefix for stage in stages for prefix in stage.modules]


def spans(stages: Sequence[Stage], module: nn.Module) -> tuple[str, ...]:
    """Return the prefixes that are methods of `module`; missing ones are left out."""
    found: list[str] = []
    for prefix in prefixes(stages):
        try:
            found += methods(module, [prefix])
        except ConfigError:
            continue  # a pass may have removed it; `check` is for the model before passes
    return tuple(found)


def watched(stages: Sequence[Stage], module: nn.Module) -> tuple[str, ...]:
    """Return the prefixes that are modules or methods of `module`."""
    known = set(paths(stages, module))
    return tuple(prefix for prefix in prefixes(stages) if prefix in known)


def paths(stages: Sequence[Stage], module: nn.Module) -> list[str]:
    """Return the paths of modules, and those of the methods that stages name."""
    return [*(path for path, _ in module.named_modules() if path), *spans(stages, module)]
