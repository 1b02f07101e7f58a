"""Pictures to compose scenes of, without CIFAR-10: each is of one colour, its class's own."""

from __future__ import annotations

import numpy as np
import pytest

from perfsuite.data import scenes
from perfsuite.data.samples import SEEDS, Samples

EACH = 4  # pictures of each class in each split


def shade(split: str, label: int) -> int:
    """Return the value of all pixels of a class's pictures."""
    return 20 + 20 * label + 3 * SEEDS[split]


def load(split: str) -> Samples:
    """Return EACH pictures of each class, the classes in turn."""
    labels = np.tile(np.arange(10, dtype=np.uint8), EACH)
    values = np.array([shade(split, int(label)) for label in labels], np.uint8)
    return Samples(np.broadcast_to(values[:, None, None, None], (len(labels), 32, 32, 3)), labels)


@pytest.fixture
def plain_items(monkeypatch: pytest.MonkeyPatch):
    """Compose all scenes of plain items."""
    for cached in (scenes._pictures, scenes._numbers):
        cached.cache_clear()
    monkeypatch.setattr(scenes.cifar10, "load", load)
    yield
    for cached in (scenes._pictures, scenes._numbers):
        cached.cache_clear()
