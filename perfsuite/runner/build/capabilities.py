"""What a runtime says of itself and its devices, by methods that it may leave out."""

from __future__ import annotations

from collections.abc import Sequence

from perfsuite.domain.cell import Cell
from perfsuite.domain.device import PROCESSOR, DeviceIdentity, QuantizedGraphs
from perfsuite.domain.recipe import Target
from perfsuite.domain.runtime import Runtime
from perfsuite.processor import read_processor
from perfsuite.user_code import require_type, user_code


def identity_of(runtime: Runtime, device: str) -> DeviceIdentity:
    """Return which processor or card `device` is.

    A runtime that does not say runs "cpu" on the processor; any other device of it stays without a
    name, with the features of the processor beside it. Raises `ConfigError` for another answer than
    a `DeviceIdentity`.
    """
    identify = getattr(runtime, "identify", None)
    if identify is not None:
        whose = f"{runtime.name}: its identify('{device}')"
        with user_code(whose):
            found = identify(device)
        return require_type(found, DeviceIdentity, whose, "a perfsuite.DeviceIdentity")
    processor = read_processor().identity
    if device == PROCESSOR:
        return processor
    return DeviceIdentity(device, features=processor.features)


def quantized_graphs_of(runtime: Runtime, device: str) -> QuantizedGraphs | None:
    """Return how the runtime wants quantized graphs for `device`; None where it runs none.

    Raises `ConfigError` for another answer than a `QuantizedGraphs`.
    """
    say = getattr(runtime, "quantized_graphs", None)
    if say is None:
        return None
    whose = f"{runtime.name}: its quantized_graphs('{device}')"
    with user_code(whose):
        wanted = say(device)
    if wanted is None:
        return None
    return require_type(wanted, QuantizedGraphs, whose, "a perfsuite.QuantizedGraphs, or None")


def only_builds(runtime: Runtime, device: str) -> bool:
    """Tell whether the runtime builds artifacts for `device` on any machine, and runs none."""
    whose = f"{runtime.name}: its builds_for"
    return device in require_type(getattr(runtime, "builds_for", ()), tuple, whose, "a tuple")


def operators_of(runtime: Runtime) -> Sequence[str]:
    """Return the libraries of custom operators that a runtime loads."""
    named: Sequence[str] = getattr(runtime, "operators", ())
    return named


def writer_key(runtime: Runtime, *, quantized: bool) -> tuple[str, ...]:
    """Return what the key of an artifact owes to the version of the code that writes it.

    It is nothing for the first version, which no key has.
    """
    named = {"artifact version": "artifact_version"}
    named |= {"quantized version": "quantized_version"} if quantized else {}
    found = {words: _version(runtime, field) for words, field in named.items()}
    return tuple(f"{words} {number}" for words, number in found.items() if number != 1)


def _version(runtime: Runtime, field: str) -> int:
    whose = f"{runtime.name}: its {field}"
    with user_code(whose):
        found = getattr(runtime, field, 1)
    return require_type(found, int, whose, "a whole number")


def libraries_of(runtime: Runtime) -> dict[str, str]:
    """Return the engine's libraries with their versions; raise what its `probe` raises."""
    whose = f"{runtime.name}: its probe()"
    with user_code(whose):
        found = runtime.probe()
    words = "a dict of library to version"
    require_type(found, dict, whose, words)
    for name, version in found.items():
        require_type(name, str, whose, words)
        require_type(version, str, whose, words)
    return found


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
        libraries=tuple(f"{name} {at}" for name, at in sorted(libraries_of(runtime).items())),
        quantized=quantized_graphs_of(runtime, cell.device),
        identity=identity,
    )
