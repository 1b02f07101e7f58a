"""The meters of one measuring process: started and stopped together."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from perfsuite.domain.meter import Meter, Phase
from perfsuite.domain.record import Measurement
from perfsuite.errors import ConfigError, Unavailable
from perfsuite.measure.meters.table import load_meter
from perfsuite.user_code import kind_of, user_code


class Metering:
    """What meters sampled, as `measurements`; `labels` say of which the machine does not tell."""

    def __init__(self, references: Iterable[str] = (), device: str = "cpu") -> None:
        self.measurements: list[Measurement] = []
        self.labels: list[str] = []
        self._device = device
        self._meters: dict[str, Meter] = {}
        for reference in references:
            made = self._try(reference, "making it", load_meter(reference))
            if made is not None:
                self._meters[reference] = made

    def start(self, phase: Phase) -> None:
        """Let every meter begin to sample."""
        for reference, meter in list(self._meters.items()):
            self._try(reference, "start", partial(meter.start, phase, self._device))

    def stop(self, phase: Phase, calls: int = 0) -> None:
        """Take what every meter sampled, the one that was started last first."""
        for reference, meter in reversed(list(self._meters.items())):
            samples = self._try(reference, "stop", partial(meter.stop, phase, calls))
            if not isinstance(samples, Mapping | None):
                raise ConfigError(
                    f"meter '{reference}': its stop() must give a dict of metric name to number, "
                    f"or None, not {kind_of(samples)}"
                )
            for name, value in (samples or {}).items():
                self._add(reference, meter, name, value)

    def pause(self) -> None:
        """Tell the meters that have a `pause` that others' turns follow."""
        self._tell("pause")

    def resume(self) -> None:
        """Tell the meters that have a `resume` that it is this process's turn."""
        self._tell("resume")

    def _tell(self, what: str) -> None:
        for reference, meter in list(self._meters.items()):
            if (told := getattr(meter, what, None)) is not None:
                self._try(reference, what, told)

    def _try(self, reference: str, what: str, action: Callable[[], Any]) -> Any:
        """Return what `action` does; None, and a label, where the machine does not tell."""
        name = reference.rpartition(":")[2]
        try:
            with user_code(f"meter '{name}': {what}", ConfigError):
                return action()
        except Unavailable as error:
            self._meters.pop(reference, None)
            self.labels.append(f"no {name}: {str(error).partition(chr(10))[0]}")
            return None

    def _add(self, reference: str, meter: Meter, name: str, value: float) -> None:
        metric = next((one for one in meter.metrics if one.name == name), None)
        if metric is None:
            raise ConfigError(f"meter '{reference}' gave '{name}', which its `metrics` do not have")
        if not isinstance(value, int | float) or not math.isfinite(value):
            raise ConfigError(f"meter '{reference}' gave {value!r} as '{name}': no finite number")
        if any(one.metric == name for one in self.measurements):
            raise ConfigError(f"meter '{reference}' gave '{name}' in both phases; once is enough")
        self.measurements.append(Measurement(name, metric.unit, (float(value),)))
