"""The breakdown of a call: each kernel's time under the stage and module that it came from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from perfsuite.domain.model import Stage
from perfsuite.domain.profile import (
    OVERHEAD,
    UNATTRIBUTED,
    Breakdown,
    BreakdownRow,
    Kernel,
    Node,
    Profile,
)
from perfsuite.errors import ConfigError
from perfsuite.export.normalize import module_path
from perfsuite.measure.breakdown_rows import Operator, common_start, rest_row, stage_row
from perfsuite.measure.kernels import kernel_work, mean_times
from perfsuite.plugins import suggestion

_ROUNDING = ("QuantizeLinear", "DequantizeLinear")


def breakdown(profile: Profile, nodes: Sequence[Node], stages: Sequence[Stage]) -> Breakdown:
    """Return where the time of a call goes, in rows that add up to it exactly.

    Times are means over the calls whose wall time lies within the quartiles. A kernel belongs to
    the stage with the longest prefix of its origin's module path. Of several origins the one with
    the most MACs, then bytes, decides; a kernel without origin belongs to the stage of its nearest
    neighbour. Without declared stages, the first modules in which the paths differ are the stages,
    and operators outside of all modules stand under their operator's name. A declared stage in
    which nothing ran, such as a normalization that was folded, comes last, with no time.

    Raises `ConfigError` for stages that contradict each other, `Unsupported` where kernels overlap,
    `PerfsuiteError` for a profile that contradicts itself.
    """
    _check_distinct(stages)
    times = mean_times(profile)
    work, unclaimed = kernel_work(profile.kernels, times.kernels_s, nodes)
    placing = _Placing(profile, nodes, stages)
    operators: dict[str, list[Operator]] = {}
    crossing = []
    for index, kernel in enumerate(profile.kernels):
        place, name = placing.of(kernel), placing.name_of(kernel)
        row = BreakdownRow(
            name,
            "operator",
            times.kernels_s[index],
            *work[index],
            start_s=times.starts_s[index],
        )
        operators.setdefault(place.stage, []).append(Operator(place.path, row))
        crossed = placing.crossed(kernel, place.stage)
        if len(crossed) > 1:
            crossing.append(f"{name} ({', '.join(crossed)})")
    lost = operators.pop(UNATTRIBUTED, [])
    for stage in stages:
        operators.setdefault(stage.name, [])
    hidden: dict[str, list[Node]] = {}  # nodes with parameters but no kernel, by stage
    for node in unclaimed:
        if node.parameters:
            hidden.setdefault(placing.stage_of(node.path, node.kind), []).append(node)
    rows = [stage_row(name, ones, hidden.get(name, ())) for name, ones in operators.items()]
    rows.append(BreakdownRow(OVERHEAD, "rest", times.overhead_s))
    rows.append(rest_row(UNATTRIBUTED, lost, hidden.get(UNATTRIBUTED, ())))
    return Breakdown(times.total_s, times.calls, tuple(rows), tuple(crossing))


def check_stages(stages: Sequence[Stage], paths: Iterable[str]) -> None:
    """Raise `ConfigError` for stages that contradict each other or name parts the model has not.

    `paths` are those of the model's modules, or of its nodes, and of the methods that are stages.
    """
    _check_distinct(stages)
    known = _with_parents(paths)
    for stage in stages:
        for prefix in stage.modules:
            if prefix not in known:
                raise ConfigError(
                    f"stage '{stage.name}': the model has no module or method '{prefix}'"
                    f"{_nearest(prefix, known)}"
                )


def _check_distinct(stages: Sequence[Stage]) -> None:
    names: set[str] = set()
    owners: dict[str, str] = {}
    for stage in stages:
        if stage.name in (OVERHEAD, UNATTRIBUTED):
            raise ConfigError(f"a stage is called '{stage.name}', as is a row of every breakdown")
        if stage.name in names:
            raise ConfigError(f"two stages are called '{stage.name}': give one another name")
        names.add(stage.name)
        if not stage.modules:
            raise ConfigError(f"stage '{stage.name}' names no modules: give it at least one prefix")
        for prefix in stage.modules:
            if not prefix:
                raise ConfigError(f"stage '{stage.name}': '' is no path of a module or method")
            if prefix in owners:
                raise ConfigError(
                    f"stages '{owners[prefix]}' and '{stage.name}' both have the prefix "
                    f"'{prefix}': it can belong to one"
                )
            owners[prefix] = stage.name


def _nearest(prefix: str, known: set[str]) -> str:
    near = suggestion(prefix, known)
    return (
        near if "did you mean" in near else suggestion(prefix, (x for x in known if "." not in x))
    )


def stages_of(paths: Iterable[str], stages: Sequence[Stage]) -> dict[str, str]:
    """Return the stage of each module path, as in a breakdown."""
    found = list(paths)
    shared = len(common_start(_split(found)))
    return {path: _stage_of(path, _prefixes(stages), shared) or path for path in found}


def _prefixes(stages: Sequence[Stage]) -> dict[str, str]:
    return {prefix: stage.name for stage in stages for prefix in stage.modules}


def _stage_of(path: str, prefixes: Mapping[str, str], shared: int) -> str:
    """Return the stage with the longest prefix of a path.

    Without declared stages it is the first module in which paths differ, that begin with so many
    `shared` segments; '' for what is outside of all modules.
    """
    parts = path.split(".") if path else []
    if not prefixes:
        return ".".join(parts[: shared + 1])
    for end in range(len(parts), 0, -1):
        name = prefixes.get(".".join(parts[:end]))
        if name is not None:
            return name
    return UNATTRIBUTED


class _Place(NamedTuple):
    stage: str
    path: tuple[str, ...]


class _Placing:
    """Finds the stage and the module that a kernel belongs to, by its origins."""

    def __init__(self, profile: Profile, nodes: Sequence[Node], stages: Sequence[Stage]) -> None:
        self.nodes: dict[str, Node] = {}
        for node in nodes:
            self.nodes.setdefault(node.name, node)
        self.of_graph = any(node.outputs for node in nodes)
        self.prefixes = _prefixes(stages)
        origins = [origin for kernel in profile.kernels for origin in self.origins(kernel)]
        paths = {*(node.path for node in nodes), *(self._path(one) for one in origins)} - {""}
        self.shared = len(common_start(_split(paths)))  # segments that all paths begin with

    def origins(self, kernel: Kernel) -> list[str]:
        """Return the known origins of a kernel: nodes of the graph, or module paths."""
        return [
            one
            for one in kernel.origins
            if one in self.nodes or module_path(one) or not self.of_graph
        ]

    def stage_of(self, path: str, kind: str) -> str:
        """Return the stage of a module path; `kind` is the operator at that path."""
        return _stage_of(path, self.prefixes, self.shared) or kind

    def of(self, kernel: Kernel) -> _Place:
        """Return the stage and module that a kernel belongs to."""
        origins = self.origins(kernel)
        if origins:
            return self._place(max(origins, key=self._cost))
        for one in kernel.neighbours:
            place = self._place(one)
            if place.stage != UNATTRIBUTED:
                return place
        return _Place(UNATTRIBUTED, ())

    def name_of(self, kernel: Kernel) -> str:
        """Return what a kernel is called: by its most expensive origin, if not as a node already.

        Engines make names of fused kernels up, of values and of what they did.
        """
        known = [one for one in self.origins(kernel) if one in self.nodes]
        if kernel.name in self.nodes or not known:
            return kernel.name
        origin = max(known, key=self._cost)
        if self.nodes[origin].kind in kernel.kind:  # Conv in FusedConv and QLinearConv
            return origin
        scope = origin.rpartition("/")[0]
        return f"{scope}/{kernel.kind}" if scope else f"{origin} ({kernel.kind})"

    def crossed(self, kernel: Kernel, first: str) -> list[str]:
        """Return the stages of a kernel's origins, `first` first.

        Operators outside of all modules and Q/DQ nodes are left out.
        """
        inside = (one for one in self.origins(kernel) if self._path(one) and not self._rounds(one))
        found = {self._place(one).stage for one in inside} - {UNATTRIBUTED}
        return sorted(found, key=lambda name: (name != first, name))

    def _path(self, origin: str) -> str:
        return self.nodes[origin].path if origin in self.nodes else module_path(origin)

    def _place(self, origin: str) -> _Place:
        node, path = self.nodes.get(origin), self._path(origin)
        kind = node.kind if node else origin.rpartition("/")[2]
        return _Place(self.stage_of(path, kind), tuple(path.split(".")) if path else ())

    def _rounds(self, origin: str) -> bool:
        return origin in self.nodes and self.nodes[origin].kind in _ROUNDING

    def _cost(self, origin: str) -> tuple[bool, int, bool, int, bool]:
        """Return a key that is largest for the most expensive of several origins.

        Q/DQ nodes come last. MACs that could not be counted are more than 0; of equal origins one
        with a stage is preferred.
        """
        node, staged = self.nodes.get(origin), self._place(origin).stage != UNATTRIBUTED
        if node is None:
            return True, 0, False, 0, staged
        rounds = self._rounds(origin)
        return not rounds, node.macs or 0, node.macs is None, node.bytes or 0, staged


def _split(paths: Iterable[str]) -> list[tuple[str, ...]]:
    return [tuple(path.split(".")) for path in paths if path]


def _with_parents(paths: Iterable[str]) -> set[str]:
    return {".".join(parts[:end]) for parts in _split(paths) for end in range(1, len(parts) + 1)}
