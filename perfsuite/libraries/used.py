"""Which libraries computed the layers of a net, a pure function of the evidence."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import msgspec

from perfsuite.domain.instruction_sets import strongest_first
from perfsuite.domain.record import Evidence, EvidenceItem

How = Literal["observed", "reported", "inferred"]
Role = Literal["layers", "engine", "kernels", "threads"]

_HOWS: tuple[How, ...] = ("observed", "reported", "inferred")  # the best first
_TEXTS = {"engine": "by the engine", "threads": "its threads"}
# Whose threads they are: where one of those computes and the pool is loaded, it is used.
_POOLS = {"OpenMP": ("oneDNN", "MKL", "PyTorch"), "oneTBB": ("OpenVINO",)}


class Use(msgspec.Struct, frozen=True):
    """How a library was used: `layers` of the `of` that are known were computed by it.

    A library without layers has another role: it is the `engine`, its `kernels` ran (for what is no
    layer), or its `threads` compute. Instruction sets are those of its layers' kernels, the
    strongest first. `how` is the best way in which it is known.
    """

    how: How
    role: Role
    layers: int = 0
    of: int = 0
    instruction_sets: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """Return it as people read it, such as `13 of 14 layers`."""
        if self.role == "layers":
            return f"{self.layers} of {self.of} layers"
        return _TEXTS.get(self.role, "other kernels")


def used(evidence: Evidence) -> dict[str, Use]:
    """Return by title the libraries that were used; one that is only loaded is not among them."""
    found = dict(_by_layers(evidence))
    for item in evidence.items:
        if item.about in ("engine", "kernels") and item.name not in found:
            role: Role = "engine" if item.about == "engine" else "kernels"
            found[item.name] = Use(item.how, role)
    mapped = {item.name for item in evidence.items if item.about == "library"}
    for pool, users in _POOLS.items():
        if pool in mapped and any(title in found for title in users):
            found[pool] = Use("inferred", "threads")
    return found


def used_items(evidence: Evidence) -> Iterator[EvidenceItem]:
    """Yield for each library that was used how much, and with which instruction set at best.

    What the evidence says of an instruction set already is not said again.
    """
    said = {(item.about, item.name, item.value) for item in evidence.items}
    for title, use in used(evidence).items():
        yield EvidenceItem(use.how, "used", title, use.text)
        for best in use.instruction_sets[:1]:
            if ("instruction set", title, best) not in said:
                yield EvidenceItem(use.how, "instruction set", title, best)


def _by_layers(evidence: Evidence) -> Iterator[tuple[str, Use]]:
    layers = evidence.layers
    for title in dict.fromkeys(layer.library for layer in layers if layer.library):
        own = [layer for layer in layers if layer.library == title]
        how = min((layer.how for layer in own), key=_HOWS.index)
        sets = strongest_first(layer.instruction_set for layer in own)
        yield title, Use(how, "layers", len(own), len(layers), sets)
