"""The peaks of a card, measured with torch's own products and copies."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from perfsuite.domain.profile import Roofline
from perfsuite.errors import Unavailable
from perfsuite.runtimes.pytorch.card import new_event
from perfsuite.runtimes.shared.cuda_driver import CUDA
from perfsuite.runtimes.shared.device_clock import timed_by_events

_SIDES = (4096, 8192)  # of square matrices that fill a card
_TYPES = {"fp32": "float32", "tf32": "float32", "fp16": "float16", "bf16": "bfloat16"}
_TIMES = 10  # of which the shortest counts
_LEAST_BYTES = 2**30  # of an array, unless four times the card's last cache is more
_SHARE = 8  # of the card's memory that two such arrays may take at most, as a fraction


def card_roofline(precision: str) -> Roofline:
    """Return the best of several products of random matrices, and of several copies.

    Random numbers, because a card multiplies zeros faster. Raises `Unavailable` for a precision
    that torch has no products of.
    """
    import torch

    if precision not in _TYPES:
        raise Unavailable(f"pytorch has no products in {precision} to measure a card's peak with")
    dtype = getattr(torch, _TYPES[precision])
    flops_per_s = 0.0
    for side in _SIDES:
        one, other = (torch.randn(side, side, device=CUDA).to(dtype) for _ in range(2))
        out = torch.empty_like(one)
        best_s = _best_s(partial(torch.mm, one, other, out=out))
        flops_per_s = max(flops_per_s, 2 * side**3 / best_s)
    return Roofline(flops_per_s, _bytes_per_s(), 1, precision)


def _bytes_per_s() -> float:
    """Return the bytes read and written in a second by a copy within the card."""
    import torch

    card = torch.cuda.get_device_properties(0)
    wanted = max(_LEAST_BYTES, 4 * card.L2_cache_size)
    length = min(wanted, card.total_memory // _SHARE // 2) // 4
    source = torch.randn(length, device=CUDA)
    target = torch.empty_like(source)
    return 2 * 4 * length / _best_s(partial(target.copy_, source))


def _best_s(call: Callable[[], object]) -> float:
    """Return the shortest time of a call by the card's clock, after one that warms it up."""
    call()
    return min(timed_by_events([call], new_event, _TIMES, 0.0).device_s)
