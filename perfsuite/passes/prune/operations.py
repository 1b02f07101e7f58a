"""A call of a net, followed operation by operation: what each gives for the channels it is given.

Every operation that PyTorch runs is seen as it is dispatched, with its tensors, whatever the net's
code looks like. A tensor's *facets* are arrays of positions (see `positions.py`) that broadcast to
its shape; an element goes if any facet's position goes. The rules that say what an operation makes
of facets are in `rules_*.py`; an operation without a rule lets all positions that it meets stay.
"""

from __future__ import annotations

import linecache
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from perfsuite.passes.prune.positions import Labels, Positions, Why, varying

if TYPE_CHECKING:
    import torch

Facets = tuple[Labels, ...]
_MARK = "_perfsuite_channels"  # the attribute by which a tensor carries what is known of it
_OWN = f"{Path(__file__).parents[2]}/"
_NETS = f"{_OWN}models/"  # its code is a net's like any other
_CODE = 60  # characters of a line that are quoted


class Known:
    """What is known of a tensor: its facets, whether it is made of state alone, and its node."""

    def __init__(self, facets: Facets, state: bool, node: int) -> None:
        self.facets, self.state, self.node = facets, state, node


@dataclass
class Node:
    """An operation on tensors whose channels are known.

    `path` is that of the module that ran it, `inputs` the nodes before it, `facets` those of its
    result; `activations` is the number of its operands that are not state.
    """

    name: str
    path: str
    inputs: tuple[int, ...]
    facets: Facets
    activations: int
    reads: Labels | None = None  # the positions whose weights it multiplies by


@dataclass
class Cut:
    """An axis that was cut up (a view, a split): the parts keep their form only with `labels` so.

    `path` is that of the module whose code did it, in `line`. Numbers among its attributes may be
    the sizes.
    """

    labels: Labels
    path: str
    line: str


@dataclass
class Size:
    """An attribute of a module that counts positions: `groups` of a convolution, for one."""

    name: str
    labels: Labels


class Operation:
    """An operation as it was dispatched: its arguments by name, and its results."""

    def __init__(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any], result: Any) -> None:
        self.func = func
        self.name = str(func._schema.name).rpartition("::")[2]
        named = {each.name: each.default_value for each in func._schema.arguments}
        positional = [each.name for each in func._schema.arguments]
        self.given: dict[str, Any] = {
            **named,
            **dict(zip(positional, args, strict=False)),
            **kwargs,
        }
        self.tensors = list(_tensors(list(self.given.values())))
        self.results = list(_tensors([result]))

    def __getitem__(self, name: str) -> Any:
        return self.given.get(name)

    @property
    def first(self) -> torch.Tensor:
        """Return the first tensor among the arguments."""
        return self.tensors[0]


def _tensors(values: Any) -> Iterator[torch.Tensor]:
    import torch

    for value in values:
        if isinstance(value, torch.Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)


@dataclass
class Trace:
    """What was found out so far about the channels of a call."""

    positions: Positions = field(default_factory=Positions)
    nodes: list[Node] = field(default_factory=list)
    cuts: list[Cut] = field(default_factory=list)
    sizes: list[Size] = field(default_factory=list)
    read: list[Labels] = field(default_factory=list)  # positions of weights that multiply channels
    widths: set[int] = field(default_factory=set)  # of all parameters' axes
    first_made: int = 0  # the first position that is no parameter's
    modules: dict[str, Any] = field(default_factory=dict)
    path: str = ""  # of the module that is running
    reading: Labels | None = None  # in the operation that is looked at
    of_state: bool = False  # whether that has state alone for operands
    kept: list[int] = field(default_factory=list)  # nodes that count, whoever reads them
    waiting: list[tuple[int, Labels, str]] = field(default_factory=list)  # see `freeze`

    # -- tensors --------------------------------------------------------------------------------

    def facets(self, tensor: torch.Tensor | None) -> Facets:
        """Return the facets of a tensor; none where nothing is known of it."""
        known = getattr(tensor, _MARK, None)
        return known.facets if known is not None else ()

    def is_state(self, tensor: torch.Tensor) -> bool:
        """Tell whether a tensor is a parameter or a buffer, or made of such alone."""
        known = getattr(tensor, _MARK, None)
        return known is not None and known.state

    def node(self, tensor: torch.Tensor) -> int:
        """Return the node that gave a tensor; -1 if there is none."""
        known = getattr(tensor, _MARK, None)
        return known.node if known is not None else -1

    def set(self, tensor: torch.Tensor, facets: Facets, state: bool, node: int = -1) -> None:
        """Note what is known of a tensor."""
        setattr(tensor, _MARK, Known(facets, state, node))

    # -- an operation ---------------------------------------------------------------------------

    def follow(self, op: Operation, rules: Callable[[str, Any], Any]) -> None:
        """Note the facets of an operation's results."""
        self.reading = None
        found: Sequence[Facets] | None = None
        rule = rules(op.name, op.func)
        self.of_state = bool(op.tensors) and all(map(self.is_state, op.tensors))
        if not any(map(self.facets, op.tensors)) and not getattr(rule, "makes", False):
            found = [()] * len(op.results)
        elif rule is not None:
            try:
                found = rule(self, op)
            except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
                found = None  # arguments of another release of torch, or shapes nobody thought of
        if found is None:
            self.stay(op, *op.tensors)
            found = [()] * len(op.results)
        self._note(op, found)

    def _note(self, op: Operation, found: Sequence[Facets]) -> None:
        place = -1
        if not self.of_state:
            inputs = tuple(dict.fromkeys(n for t in op.tensors if (n := self.node(t)) >= 0))
            activations = sum(not self.is_state(t) for t in op.tensors if t.ndim)
            facets = tuple(facet for some in found for facet in some)
            node = Node(op.name, self.path, inputs, facets, activations, self.reading)
            place = len(self.nodes)
            self.nodes.append(node)
            if op.func._schema.is_mutable or not op.results:
                self.kept.append(place)  # a view's other side, or the code, may depend on it
        for result, facets in zip(op.results, found, strict=False):
            self.set(result, facets, self.of_state, place)

    # -- what rules say -------------------------------------------------------------------------

    def tie(self, one: Labels, other: Labels, why: Why | None = None) -> None:
        """Let positions of two arrays, broadcast to each other, go together."""
        self.positions.tie(one, other, why or (lambda: self.told("are joined with fixed ones")))

    def freeze(self, labels: Labels, what: str, hint: str = "") -> None:
        """Let positions stay, because their channels `what`, if an output comes of this operation.

        Attention computes its weights' mean over heads, for one, which few nets use.
        """
        if self.of_state:
            self.positions.freeze(labels, lambda: self.told(what, hint))
        else:
            self.waiting.append((len(self.nodes), labels, self.told(what, hint)))

    def end(self, outputs: Iterable[int]) -> None:
        """Let positions stay that met such an operation on the way to an output."""
        live: set[int] = set()
        left = [*outputs, *self.kept]
        while left:
            place = left.pop()
            if place >= 0 and place not in live:
                live.add(place)
                left += self.nodes[place].inputs
        for place, labels, why in self.waiting:
            if place in live:
                self.positions.freeze(labels, why)

    def stay(self, op: Operation, *tensors: torch.Tensor, mixes: bool = False) -> None:
        """Let all positions of tensors stay, because of an operation."""
        how = ", which makes one value of several" if mixes else ""
        for tensor in tensors:
            for facet in self.facets(tensor):
                self.freeze(facet, f"go through {self.what(op)}{how}")

    def what(self, op: Operation) -> str:
        """Return what to call an operation: the module that ran it, if it is one of torch's."""
        module = self.modules.get(self.path)
        torchs = type(module).__module__.startswith("torch.nn.modules")
        if module is not None and torchs and not any(True for _ in module.children()):
            return f"{self.path or 'the model'}, a {type(module).__name__}"
        return op.name.strip("_")

    def told(self, what: str, hint: str = "") -> str:
        """Return a reason, with the line of the user's code that is running."""
        where = line_of(sys._getframe(1))
        return f"its channels {what}{f' ({where})' if where else ''}{f'; {hint}' if hint else ''}"

    def reads(self, labels: Labels) -> None:
        """Note that the weights at these positions multiply channels."""
        self.read.append(labels)
        self.reading = labels

    def collapse(self, facet: Labels, axes: Sequence[int], op: Operation) -> Labels:
        """Return the facet with one place along `axes`: all along them go together.

        Where nothing else tells its positions apart, all of them stay, because of `op`.
        """
        along = [axis for axis in varying(facet) if axis in axes]
        if not along:
            return facet
        rest = facet
        for axis in along:
            rest = rest.take([0], axis)
        if varying(rest):
            self.tie(facet, rest)
        else:
            self.freeze(facet, f"go through {self.what(op)}, which makes one value of several")
        return rest

    def form(self, labels: Labels) -> None:
        """Note that an axis was cut up into what `labels` has."""
        self.cuts.append(Cut(labels, self.path, line_of(sys._getframe(1))))

    def made(self, tensor: torch.Tensor) -> Facets:
        """Return facets for a tensor that the forward makes, whose size may follow others'."""
        return tuple(
            along(self.positions.fresh(side), axis, tensor.ndim)
            for axis, side in enumerate(tensor.shape)
            if side in self.widths
        )


def along(vector: Labels, axis: int, rank: int) -> Labels:
    """Return the labels of an axis as a facet of a tensor with `rank` axes."""
    sides = [1] * rank
    sides[axis] = len(vector)
    return vector.reshape(sides)


def line_of(frame: Any) -> str:
    """Return the innermost line of the user's code at or above a frame: `net.py:12: code`.

    '' where there is none, such as in a net that is a sequence of torch's own modules.
    """
    while frame is not None and _is_own(frame.f_code.co_filename):
        frame = frame.f_back
    while frame is not None:
        name = frame.f_code.co_filename
        if _is_own(name):
            return ""
        if is_users(name):
            return quoted(name, frame.f_lineno)
        frame = frame.f_back
    return ""


def is_users(name: str) -> bool:
    """Tell whether a file is neither PyTorch's nor one of perfsuite's own."""
    import torch

    return not (_is_own(name) or name.startswith((f"{Path(torch.__file__).parent}/", "<")))


def _is_own(name: str) -> bool:
    return name.startswith(_OWN) and not name.startswith(_NETS)


def quoted(name: str, number: int) -> str:
    """Return a line of code with its place: `net.py:12: x.view(b, 64, -1)`."""
    code = " ".join(linecache.getline(name, number).split())
    short = code if len(code) <= _CODE else f"{code[: _CODE - 1]}…"
    return f"{Path(name).name}:{number}{f': {short}' if short else ''}"
