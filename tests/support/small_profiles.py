"""Profiles and graphs of a few kernels and nodes, and how to look at their breakdowns."""

from __future__ import annotations

from typing import Any

from perfsuite.domain.profile import (
    Breakdown,
    BreakdownRow,
    Kernel,
    Node,
    Profile,
)

BIT = 2.0**-10  # a time that doubles hold exactly: rows are compared by ==


def kernel(name: str, time: float, *origins: str, **fields: Any) -> Kernel:
    return Kernel(name, "K", (time * BIT,), origins=origins, **fields)


def profile(*kernels: Kernel, wall: float = 100.0) -> Profile:
    return Profile((wall * BIT,), kernels)


def node(name: str, macs: int | None = 0, **fields: Any) -> Node:
    kind = name.rpartition("/")[2]
    path = name.rpartition("/")[0]
    return Node(
        name, kind, path, fields.pop("inputs", ()), fields.pop("outputs", ()), macs, **fields
    )


def times(found: Breakdown) -> dict[str, float]:
    return {row.name: row.time_s / BIT for row in found.rows}


def rows(found: Breakdown) -> dict[str, BreakdownRow]:
    return {row.name: row for row in found.rows}


def tree(row: BreakdownRow) -> Any:
    return {child.name: tree(child) for child in row.children} if row.children else row.time_s / BIT
