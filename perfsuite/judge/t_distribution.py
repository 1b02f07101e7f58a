"""Student's t distribution, without SciPy: importing that costs a second."""

from __future__ import annotations

import math
from functools import lru_cache

_TINY = 1e-300
_PRECISION = 1e-15


@lru_cache(maxsize=256)
def t_quantile(probability: float, freedom: float) -> float:
    """Return t with P(T <= t) = `probability` for `freedom` degrees of freedom, maybe fractional.

    Inverts the distribution function by bisection on x = freedom / (freedom + t^2), which stays
    in [0, 1]: P(|T| > t) = I_x(freedom / 2, 1 / 2) (Abramowitz and Stegun 1964, 26.7.1).
    """
    if not 0.0 < probability < 1.0 or freedom <= 0.0:
        raise ValueError(f"no quantile {probability} with {freedom} degrees of freedom")
    if probability == 0.5:
        return 0.0
    if probability < 0.5:
        return -t_quantile(1.0 - probability, freedom)
    both_tails = 2.0 * (1.0 - probability)
    low, high = 0.0, 1.0
    for _ in range(200):
        middle = (low + high) / 2.0
        if incomplete_beta(middle, freedom / 2.0, 0.5) < both_tails:
            low = middle
        else:
            high = middle
        if high - low <= _PRECISION * high:
            break
    x = (low + high) / 2.0
    return math.sqrt(freedom * (1.0 - x) / x)


def incomplete_beta(x: float, a: float, b: float) -> float:
    """Return the regularized incomplete beta function I_x(a, b)."""
    if x <= 0.0:
        return 0.0
    if x >= 1.0:
        return 1.0
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x)
    )
    # The fraction converges fast below the mean of the distribution; above, use the symmetry.
    if x < (a + 1.0) / (a + b + 2.0):
        return front * _beta_fraction(x, a, b) / a
    return 1.0 - front * _beta_fraction(1.0 - x, b, a) / b


def _beta_fraction(x: float, a: float, b: float) -> float:
    """Return the continued fraction of I_x(a, b) (DLMF 8.17.22) by the method of Lentz (1976)."""
    c, d = 1.0, 1.0 / _nonzero(1.0 - (a + b) * x / (a + 1.0))
    value = d
    for m in range(1, 500):
        even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        for coefficient in (even, odd):
            d = 1.0 / _nonzero(1.0 + coefficient * d)
            c = _nonzero(1.0 + coefficient / c)
            value *= c * d
        if abs(c * d - 1.0) < _PRECISION:
            break
    return value


def _nonzero(number: float) -> float:
    return number if abs(number) > _TINY else _TINY
