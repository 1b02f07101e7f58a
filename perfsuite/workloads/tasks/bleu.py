"""BLEU (Papineni et al. 2002, "BLEU: a method for automatic evaluation of machine translation").

It is computed from counts that are added up over a corpus. A row holds the counts of one sentence,
so that intervals can resample rows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np

LONGEST = 4  # words in an n-gram
COLUMNS = 2 * LONGEST + 2


def counts(said: Sequence[str], wanted: Sequence[str]) -> np.ndarray:
    """Return float64 (COLUMNS,) for one sentence and its one reference.

    For each n from 1 to 4, the number of n-grams of `said` that are in `wanted`, each at most as
    often as there; then the numbers of n-grams of `said`; then both lengths.
    """
    found, all_ = [], []
    for size in range(1, LONGEST + 1):
        ours, theirs = _grams(said, size), _grams(wanted, size)
        found.append((ours & theirs).total())
        all_.append(ours.total())
    return np.array([*found, *all_, len(said), len(wanted)], np.float64)


def bleu(rows: np.ndarray) -> float:
    """Return BLEU-4 of rows of `counts`; it is 0 if, for some length, no n-gram is right."""
    total = rows.sum(axis=0)
    found, all_ = total[:LONGEST], total[LONGEST : 2 * LONGEST]
    said, wanted = total[2 * LONGEST :]
    if not np.all(found):
        return 0.0
    brevity = min(0.0, 1 - wanted / said)
    return math.exp(brevity + float(np.log(found / all_).mean()))


def _grams(words: Sequence[str], size: int) -> Counter[tuple[str, ...]]:
    return Counter(tuple(words[at : at + size]) for at in range(len(words) - size + 1))
