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
from perfsuite.user_code import kind_of, require_type, user_code


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

    @property
    def window_s(self) -> float:
        """Return how long the phase "window" must last; 0 where no meter has one."""
        return max((_window_s(meter) for meter in self._meters.values()), default=0.0)

    def start(self, phase: Phase) -> None:
        """Let every meter that samples in this phase begin to."""
        for reference, meter in self._sampling(phase):
            self._try(reference, "start", partial(meter.start, phase, self._device))

    def stop(self, phase: Phase, calls: int = 0) -> None:
        """Take what every meter sampled, the one that was started last first."""
        for reference, meter in reversed(self._sampling(phase)):
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

    def close(self) -> None:
        """Take the labels of the meters, after the last phase."""
        for reference, meter in self._meters.items():
            for label in getattr(meter, "labels", ()):
                whose = f"meter '{reference}': each of its labels"
                self.labels.append(require_type(label, str, whose, "a text"))

    def _sampling(self, phase: Phase) -> list[tuple[str, Meter]]:
        """Return the meters that sample in this phase: all but in the window, which few need."""
        return [
            (reference, meter)
            for reference, meter in self._meters.items()
            if phase != "window" or _window_s(meter) > 0
        ]

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
            raise ConfigError(f"meter '{reference}' gave '{name}' in two phases; once is enough")
        self.measurements.append(Measurement(name, metric.unit, (float(value),)))


def _window_s(meter: Meter) -> float:
    return float(getattr(meter, "window_s", 0.0))
