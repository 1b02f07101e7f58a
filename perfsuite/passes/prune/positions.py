"""Positions along the axes of tensors, in classes that can only be removed together.

A position has a number; an array of such numbers says, for each element of a tensor or for each
place along some of its axes, to which position of a net's parameters it belongs. -1 stands for a
place that belongs to none and stays.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Labels = np.ndarray  # int64
Why = str | Callable[[], str]


class Positions:
    """A union-find forest over positions, with the reasons why some of them must stay."""

    def __init__(self) -> None:
        self._parent = np.zeros(1024, np.int64)
        self._count = 0
        self._stay: dict[int, tuple[int, str]] = {}  # by root: when it was said, and why
        self._said = 0

    def copy(self) -> Positions:
        """Return a forest with the same classes, to be joined further."""
        other = Positions()
        other._parent, other._count = self._parent.copy(), self._count
        other._stay, other._said = dict(self._stay), self._said
        return other

    def fresh(self, count: int) -> Labels:
        """Return the numbers of `count` new positions."""
        while self._count + count > len(self._parent):
            self._parent = np.concatenate([self._parent, np.zeros_like(self._parent)])
        made = np.arange(self._count, self._count + count)
        self._parent[made] = made
        self._count += count
        return made

    def find(self, labels: Labels) -> Labels:
        """Return, for each position, the least one of its class, and -1 for -1."""
        places = np.maximum(labels, 0)
        roots = self._parent[places]
        while not np.array_equal(up := self._parent[roots], roots):
            roots = up
        self._parent[places] = roots
        return np.where(labels < 0, -1, roots)

    def tie(self, one: Labels, other: Labels, why: Why) -> None:
        """Let positions at the same place of two arrays, broadcast to each other, go together.

        What meets -1 must stay, because of `why`.
        """
        pairs = np.stack(np.broadcast_arrays(self.find(one), self.find(other)), -1).reshape(-1, 2)
        pairs = pairs[pairs[:, 0] != pairs[:, 1]]
        if not len(pairs):
            return
        pairs = np.unique(np.sort(pairs, axis=1), axis=0)
        fixed = pairs[:, 0] < 0
        if fixed.any():
            self.freeze(pairs[fixed, 1], why)
        for low, high in pairs[~fixed].tolist():
            self._join(low, high)

    def freeze(self, labels: Labels, why: Why) -> None:
        """Let positions, and all that go with them, stay; a reason that was told before counts."""
        roots = np.unique(self.find(labels))
        free = [root for root in roots.tolist() if root >= 0 and root not in self._stay]
        if free:
            text = why if isinstance(why, str) else why()
            self._said += 1
            self._stay.update(dict.fromkeys(free, (self._said, text)))

    def why(self, root: int) -> str:
        """Return why the class of `root` must stay; '' if it may go."""
        return self._stay.get(root, (0, ""))[1]

    def _join(self, one: int, other: int) -> None:
        low, high = sorted((self._root(one), self._root(other)))
        if low == high:
            return
        self._parent[high] = low
        reasons = [self._stay.pop(root) for root in (low, high) if root in self._stay]
        if reasons:
            self._stay[low] = min(reasons)

    def _root(self, place: int) -> int:
        while (up := int(self._parent[place])) != place:
            self._parent[place] = self._parent[up]
            place = up
        return place


def varying(labels: Labels) -> list[int]:
    """Return the axes along which an array of labels has more than one place."""
    return [axis for axis, side in enumerate(labels.shape) if side > 1]


def compact(labels: Labels) -> Labels:
    """Return the labels with one place along each axis where all places are alike."""
    for axis in varying(labels):
        first = labels.take([0], axis)
        if (labels == first).all():
            labels = first
    return labels
