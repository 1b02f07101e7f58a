"""Which quantized tensors share a scale.

What only carries values (a max-pooling, a reshape) has the scale of what it carries. A
concatenation has one scale, and what it alone reads is rounded to that at once. What others read
too would lose bits if the rest of the concatenation has far larger values: it keeps a scale of its
own, and the concatenation is rounded anew.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

Range = tuple[float, float]  # the least and the greatest value
Readers = dict[str, set[str]]  # of each tensor: the first results of its readers, "" for an output
_FACTOR = 2.0  # between ranges that share a scale: one bit is lost at most


@dataclass(frozen=True)
class Placement:
    """The tensors to quantize, by name.

    `groups` are tensors that share a scale, in the graph's order. `carriers` maps tensors that only
    carry the values of a group (behind a max-pooling, a reshape, a concatenation) to its index:
    they have the group's scale and need no calibration. `weighted` are the results of nodes whose
    weights become 8-bit. `joined` are the ranges of concatenations that are rounded anew; these
    are members of groups.
    """

    groups: tuple[tuple[str, ...], ...]
    carriers: dict[str, int]
    weighted: tuple[str, ...]
    joined: dict[str, Range] = field(default_factory=dict)


def shared(
    order: Sequence[str],
    carried: Mapping[str, Sequence[str]],
    readers: Readers,
    ranges: Mapping[str, Range] | None,
    cut: Collection[str] = (),
) -> tuple[tuple[tuple[str, ...], ...], dict[str, int], dict[str, Range]]:
    """Return groups, carriers and joined ranges, as a `Placement` has them.

    `order` are all tensors to quantize in the graph's order, `carried` maps those that only carry
    values to the tensors whose values these are: one that is moved, or all that are concatenated.
    Without `ranges`, which hold all the other tensors, everything that is concatenated shares.
    `cut` are results of activations that the engine fuses into their rounding, if zero is the least
    value of the type there: with a tensor that has negative values they share no scale.
    """
    joints = {name: parts for name, parts in carried.items() if len(parts) > 1}
    classes = _Classes(order)
    for name, parts in carried.items():
        if name not in joints:
            classes.unite(name, parts[0])
    anew: dict[str, Range] = {}
    if ranges is None:
        for name, parts in joints.items():
            for part in parts:
                classes.unite(name, part)
    else:
        spans = dict(ranges)
        for name in order:  # in which whatever is carried comes first
            if name in carried:
                spans[name] = _span(spans[part] for part in carried[name])
        anew = {
            name: spans[name] for name in _separate(order, joints, readers, spans, classes, cut)
        }
    groups: dict[str, list[str]] = {}
    for name in order:
        if name not in carried or name in anew:
            groups.setdefault(classes.root(name), []).append(name)
    index = {root: place for place, root in enumerate(groups)}
    carriers = {n: index[classes.root(n)] for n in order if n in carried and n not in anew}
    return tuple(map(tuple, groups.values())), carriers, anew


def _separate(
    order: Sequence[str],
    joints: Mapping[str, Sequence[str]],
    readers: Readers,
    spans: Mapping[str, Range],
    classes: _Classes,
    cut: Collection[str],
) -> list[str]:
    """Unite what shares a scale; return the concatenations of which a part does not."""
    members: dict[str, list[str]] = {}
    for name in order:
        members.setdefault(classes.root(name), []).append(name)
    moved = {name: group for group in members.values() for name in group}
    kept: list[tuple[str, str]] = []
    separate: list[str] = []
    for name in (one for one in order if one in joints):
        for part in joints[name]:
            beyond = set().union(*(readers.get(one, set()) for one in moved[part]))
            if spans[name][0] < 0.0 <= spans[part][0] and not {*moved[part]}.isdisjoint(cut):
                separate.append(name)
            elif beyond.difference(moved[part]) <= {name}:
                classes.unite(name, part)
            else:
                kept.append((name, part))
    # What each class spans, and the least that a tensor of it spans that others read too.
    span: dict[str, Range] = {}
    least: dict[str, float] = {}
    for name in order:
        root = classes.root(name)
        span[root] = _span((spans[name], span.get(root, (0.0, 0.0))))
    for _, part in kept:
        root = classes.root(part)
        least[root] = min(least.get(root, width(spans[part])), width(spans[part]))
    for name, part in kept:
        one, other = classes.root(name), classes.root(part)
        both = _span((span[one], span[other]))
        smallest = min(least.get(one, least[other]), least[other])
        if width(both) <= _FACTOR * smallest:
            root = classes.unite(name, part)
            span[root], least[root] = both, smallest
        elif one != other:
            separate.append(name)
    return separate


class _Classes:
    """Sets of names that are united step by step."""

    def __init__(self, names: Iterable[str]) -> None:
        self.parent = {name: name for name in names}

    def root(self, name: str) -> str:
        while self.parent[name] != name:
            name = self.parent[name]
        return name

    def unite(self, one: str, other: str) -> str:
        root = self.root(other)
        self.parent[self.root(one)] = root
        return root


def _span(ranges: Iterable[Range]) -> Range:
    lows, highs = zip(*ranges, strict=True)
    return min(lows), max(highs)


def width(span: Range) -> float:
    """Return what 8 bits must cover: zero too."""
    return max(span[1], 0.0) - min(span[0], 0.0)
