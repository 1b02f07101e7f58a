"""Vectors of 106 words: GloVe's (Pennington et al. 2014); words.md says where they are from."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from perfsuite.errors import SchemaError

TABLE = Path(__file__).with_suffix(".tsv")
DIGEST = "4064f40fcc6a02963e39ad95ddac97d32335b3ac7cec3adb5230a4a4ad8ff578"


class Words(NamedTuple):
    """Words, the names of CIFAR-10's classes first, and their float32 vectors (words, 100)."""

    names: tuple[str, ...]
    vectors: np.ndarray


@cache
def load() -> Words:
    """Return the words and their vectors as published; raise `SchemaError` for another table."""
    data = TABLE.read_bytes()
    if hashlib.sha256(data).hexdigest() != DIGEST:
        raise SchemaError(
            f"{TABLE}: is damaged: restore the file (words.md beside it says where it is from)"
        )
    lines = [line.split("\t") for line in data.decode().splitlines()]
    vectors = np.array([numbers.split() for _, numbers in lines], np.float32)
    vectors.flags.writeable = False
    return Words(tuple(name for name, _ in lines), vectors)


def directions() -> np.ndarray:
    """Return the vectors, float32 (words, 100), without their mean and scaled to length 1.

    The mean of all words is subtracted first (Mu and Viswanath 2018, arXiv:1702.01417), because it
    carries no meaning of its own and makes all words similar.
    """
    vectors = load().vectors
    apart = vectors - vectors.mean(0)
    lengths: np.ndarray = apart / np.linalg.norm(apart, axis=1, keepdims=True)
    return lengths
