"""A user's loader is read with random numbers of its own: each job sees the same samples."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np


def seeded(loader: Iterable[Any]) -> Iterator[Any]:
    """Yield what a loader gives, with its own seeded random numbers while it is asked.

    The program's generators are as before whenever an item is out.
    """
    outer = _states()
    _seed()
    iterator = iter(loader)
    while True:
        try:
            item = next(iterator)
        except StopIteration:
            _restore(outer)
            return
        except BaseException:
            _restore(outer)
            raise
        inner = _states()
        _restore(outer)
        yield item
        outer = _states()
        _restore(inner)


def _states() -> tuple[Any, ...]:
    torch = sys.modules.get("torch")  # whoever gives tensors has loaded it
    return random.getstate(), np.random.get_state(), torch and torch.get_rng_state()


def _seed() -> None:
    random.seed(0)
    np.random.seed(0)  # the generator that users' loaders draw from
    torch = sys.modules.get("torch")
    if torch is not None:
        torch.manual_seed(0)


def _restore(states: tuple[Any, ...]) -> None:
    python, numpy, torch_state = states
    random.setstate(python)
    np.random.set_state(numpy)
    if torch_state is not None:
        sys.modules["torch"].set_rng_state(torch_state)
