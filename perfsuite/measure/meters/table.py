"""The meters that ship with perfsuite, and those that a suite names, loaded."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from perfsuite import plugins
from perfsuite.domain.meter import Meter
from perfsuite.domain.metrics import METRICS, Metric
from perfsuite.errors import ConfigError
from perfsuite.measure.meters.memory import Memory
from perfsuite.measure.meters.nvml import Nvml
from perfsuite.measure.meters.rapl import Rapl


def _memory() -> type[Meter]:
    """Return the most memory that the process takes while it loads, and while it runs."""
    return Memory


def _nvml() -> type[Meter]:
    """Return the energy of a call on an NVIDIA card, and the card's memory, clock and heat."""
    return Nvml


def _rapl() -> type[Meter]:
    """Return the energy of a call on the processor, where its counters may be read."""
    return Rapl


METERS: dict[str, Callable[[], type[Meter]]] = {"memory": _memory, "nvml": _nvml, "rapl": _rapl}


def load_meter(reference: str) -> type[Meter]:
    """Return the class that a name or `file.py:name` refers to.

    Raises `ConfigError` for what is no meter, and for one that defines a metric of perfsuite's own
    table: what is measured under one name must be one thing.
    """
    found: Any = plugins.load("meter", reference, METERS)
    metrics = getattr(found, "metrics", None)
    declared = isinstance(metrics, tuple) and all(isinstance(one, Metric) for one in metrics)
    if not (isinstance(found, type) and declared and metrics):
        raise ConfigError(
            f"'{reference}' is no meter: a class was expected whose `metrics` is a tuple of Metric"
        )
    if lacking := [name for name in ("start", "stop") if not hasattr(found, name)]:
        raise ConfigError(f"'{reference}' is no meter: it has no {' and no '.join(lacking)}")
    if reference not in METERS:
        for metric in metrics:
            if metric.name in METRICS:
                raise ConfigError(
                    f"'{reference}' defines '{metric.name}', which perfsuite measures itself; "
                    f"choose another name"
                )
    return found


def definitions(references: Iterable[str]) -> tuple[Metric, ...]:
    """Return the metrics of these meters that perfsuite's own table has not.

    Raises `ConfigError` where two meters define one name, unless both are perfsuite's own: these
    measure the same of other devices, such as the energy of a call.
    """
    found: dict[str, tuple[str, Metric]] = {}
    for reference in references:
        for metric in load_meter(reference).metrics:
            before = found.get(metric.name)
            if before is not None and not {before[0], reference} <= set(METERS):
                raise ConfigError(
                    f"'{metric.name}' is defined by '{before[0]}' and by "
                    f"'{reference}'; leave one of these meters out"
                )
            found[metric.name] = (reference, metric)
    return tuple(metric for name, (_, metric) in found.items() if name not in METRICS)
