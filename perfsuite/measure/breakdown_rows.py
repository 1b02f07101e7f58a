"""Rows of a breakdown: operators under the modules that they came from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from perfsuite.domain.profile import BreakdownRow, Node
from perfsuite.measure.kernels import total


class Operator(NamedTuple):
    """The row of one kernel, and the segments of its module's path, () at the top."""

    path: tuple[str, ...]
    row: BreakdownRow


def stage_row(name: str, operators: Sequence[Operator], hidden: Sequence[Node]) -> BreakdownRow:
    """Return the row of a stage with its modules, nested as in the model, and their operators.

    A module that contains only one module is shown as that one. Rows are in the order in which they
    run. `hidden` nodes have parameters but no kernel: their parameters count for their modules.
    """
    depth = len(common_start([one.path for one in operators]))
    return _row(name, "stage", operators, hidden, depth)


def rest_row(name: str, operators: Sequence[Operator], hidden: Sequence[Node]) -> BreakdownRow:
    """Return a row for operators whose module is not known."""
    return _with_sums(name, "rest", tuple(one.row for one in operators), hidden)


def common_start(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return the segments that all paths begin with."""
    if not paths:
        return ()
    first, last = min(paths), max(paths)  # all paths between share what these two share
    same = 0
    while same < len(first) and first[same] == last[same]:
        same += 1
    return first[:same]


def _row(
    name: str,
    level: Literal["stage", "module"],
    operators: Sequence[Operator],
    hidden: Sequence[Node],
    depth: int,
) -> BreakdownRow:
    groups: dict[tuple[str, ...] | int, list[Operator]] = {}
    for index, one in enumerate(operators):  # an operator of this very module stands alone
        key = one.path[: depth + 1] if len(one.path) > depth else index
        groups.setdefault(key, []).append(one)
    children = [
        found[0].row if isinstance(key, int) else _module(found, hidden)
        for key, found in groups.items()
    ]
    return _with_sums(name, level, tuple(children), hidden)


def _module(operators: Sequence[Operator], hidden: Sequence[Node]) -> BreakdownRow:
    path = common_start([one.path for one in operators])
    own = [node for node in hidden if tuple(node.path.split("."))[: len(path)] == path]
    return _row(".".join(path), "module", operators, own, len(path))


def _with_sums(
    name: str,
    level: Literal["stage", "module", "rest"],
    children: tuple[BreakdownRow, ...],
    hidden: Sequence[Node],
) -> BreakdownRow:
    counted = total(child.parameters for child in _operators(children))
    return BreakdownRow(
        name,
        level,
        sum(child.time_s for child in children),
        total(child.macs for child in children),
        None if counted is None else counted + sum(node.parameters for node in hidden),
        total(child.bytes for child in children),
        children,
    )


def _operators(rows: Sequence[BreakdownRow]) -> list[BreakdownRow]:
    """Return the operators below the rows, from which the sums of modules are computed."""
    found = []
    for row in rows:
        found += [row] if row.level == "operator" else _operators(row.children)
    return found
