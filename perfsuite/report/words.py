"""Numbers in words for people: units, intervals, and a sensible number of digits."""

from __future__ import annotations

import math
from collections.abc import Callable

from perfsuite.domain.verdict import Interval

NOISE = "noise"  # in place of a figure
_NOISE = 10.0  # times as much at the upper end of an interval as at the lower one

_TIME = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_SIZE = ((1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B"))
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"))
_COUNT = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


def number(value: float) -> str:
    """Return three digits, or all digits before the point: `0.0123`, `1.23`, `1234`."""
    if not math.isfinite(value):
        return str(value)
    text = f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return "0" if text == "-0" else text


def times(value: float) -> str:
    """Return a factor: `11.3x`."""
    return f"{number(value)}x"


def part(ratio: float) -> str:
    """Return 1 / `ratio` in words: `1/2.01`, `as many`, or `1.2x`."""
    if abs(ratio - 1.0) < 0.005:
        return "as many"
    return f"1/{number(ratio)}" if ratio > 1.0 else times(1.0 / ratio)


def percent(fraction: float) -> str:
    """Return a change in percent: `4.1 %`."""
    return f"{_decimals(fraction * 100.0, 1)} %"


def signed_percent(fraction: float) -> str:
    """Return a change with its sign: `+4.1 %`."""
    return ("+" if fraction > 0 else "") + percent(fraction)


def points(value: float) -> str:
    """Return percentage points with at most two decimals: `0.25`."""
    return _decimals(value, 2)


def seconds(value: float) -> str:
    """Return a duration: `2.31 ms`."""
    return _scaled(value, _TIME)


def size(value: float) -> str:
    """Return a number of bytes: `58.9 MB`."""
    return _scaled(value, _SIZE)


def quantity(value: float, unit: str) -> str:
    """Return a value in the SI unit `unit`, with a prefix: `1.2 mJ`.

    Rates keep their unit, `812/s`, and counts have none: `14.7 M`.
    """
    if unit == "1":
        return _scaled(value, _COUNT).rstrip() if abs(value) >= 1e3 else f"{value:.4g}"
    if unit == "1/s":
        return f"{number(value)}/s"
    if unit == "s":
        return seconds(value)
    if unit == "B":
        return size(value)
    return _scaled(value, tuple((factor, prefix + unit) for factor, prefix in _PREFIXES))


def spread(interval: Interval, show: Callable[[float], str]) -> str:
    """Return ` (low to high)`, each printed by `show`; nothing for an exact value."""
    if interval.low == interval.high:
        return ""
    return f" ({show(interval.low)} to {show(interval.high)})"


def is_noise(ratio: Interval) -> bool:
    """Tell whether the interval of a ratio is so wide that no end of it is a figure."""
    ends = (ratio.low, ratio.value, ratio.high)
    return not all(map(math.isfinite, ends)) or ratio.low <= 0 or ratio.high > _NOISE * ratio.low


def _decimals(value: float, places: int) -> str:
    if not math.isfinite(value):
        return str(value)
    text = f"{value:.{places}f}".rstrip("0").rstrip(".")
    return "0" if text == "-0" else text


def _scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    if not math.isfinite(value):
        return str(value)
    for factor, unit in units:
        if abs(value) >= factor:
            return f"{number(value / factor)} {unit}"
    factor, unit = units[-1]
    return f"{number(value / factor)} {unit}"
