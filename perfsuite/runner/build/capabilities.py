"""What a runtime says of itself and its devices, by methods that it may leave out."""

from __future__ import annotations

from typing import TypeVar

from perfsuite.domain.cell import Cell
from perfsuite.domain.device import PROCESSOR, DeviceIdentity, QuantizedGraphs
from perfsuite.domain.recipe import Target
from perfsuite.domain.runtime import Runtime
from perfsuite.errors import BuildError
from perfsuite.processor import read_processor

_T = TypeVar("_T")


def identity_of(runtime: Runtime, device: str) -> DeviceIdentity:
    """Return which processor or card `device` is.

    A runtime that does not say runs "cpu" on the processor; any other device of it stays without a
    name, with the features of the processor beside it. Raises `BuildError` for another answer than
    a `DeviceIdentity`.
    """
    identify = getattr(runtime, "identify", None)
    if identify is not None:
        return _checked(identify(device), DeviceIdentity, f"{runtime.name}: identify('{device}')")
    processor = read_processor().identity
    if device == PROCESSOR:
        return processor
    return DeviceIdentity(device, features=processor.features)


def quantized_graphs_of(runtime: Runtime, device: str) -> QuantizedGraphs | None:
    """Return how the runtime wants quantized graphs for `device`; None where it runs none.

    Raises `BuildError` for another answer than a `QuantizedGraphs`.
    """
    say = getattr(runtime, "quantized_graphs", None)
    wanted = None if say is None else say(device)
    if wanted is None:
        return None
    return _checked(wanted, QuantizedGraphs, f"{runtime.name}: quantized_graphs('{device}')")


def target_of(runtime: Runtime, cell: Cell) -> Target:
    """Return all that passes may know of where `cell`, or what is made for it, is to run."""
    identity = identity_of(runtime, cell.device)
    return Target(
        runtime=runtime.name,
        device=cell.device,
        features=identity.features,
        batch=cell.batch,
        threads=cell.threads,
        precision=cell.precision,
        libraries=tuple(f"{name} {at}" for name, at in sorted(runtime.probe().items())),
        quantized=quantized_graphs_of(runtime, cell.device),
        identity=identity,
    )


def _checked(answer: object, kind: type[_T], who: str) -> _T:
    if not isinstance(answer, kind):
        raise BuildError(f"{who} gives {answer!r}; it must be a perfsuite.{kind.__name__}")
    return answer
