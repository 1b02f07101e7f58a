"""`engine.json`: what an engine was built for and of, read without the engine's library."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import msgspec

from perfsuite.domain.profile import Node
from perfsuite.domain.record import EvidenceItem
from perfsuite.errors import SchemaError
from perfsuite.runtimes.shared.base import artifact_file
from perfsuite.runtimes.tensorrt.shapes import Range

ENGINE, BUILT = "model.engine", "engine.json"


class NetworkLayer(msgspec.Struct, frozen=True):
    """One layer of the network that was built, before any was merged.

    `precision` is the type that it computes in: of a product between Q/DQ pairs int8.
    """

    name: str
    kind: str  # in the engine's words, such as "CONVOLUTION"
    precision: str
    is_product: bool


class Built(msgspec.Struct, frozen=True):
    """What an engine was built with (`engine` and `version`), for which card and shapes, of what.

    `nodes` are those of the graph as it was given, to which the inspector's names are traced back.
    """

    engine: str
    version: str
    capability: str  # such as "sm_89"
    profiles: tuple[dict[str, Range], ...]
    nodes: tuple[Node, ...]
    layers: tuple[NetworkLayer, ...]
    in_float: tuple[str, ...] = ()  # operators that the engine does not take in 16 bits

    @property
    def items(self) -> list[EvidenceItem]:
        """Return what is told of it as evidence, whether it is run or not."""
        items = [
            EvidenceItem("reported", "version", self.engine, self.version),
            EvidenceItem("reported", "setting", "compute capability", self.capability),
        ]
        if self.in_float:
            named = ", ".join(self.in_float)
            items.append(EvidenceItem("reported", "setting", "operators in float32", named))
        return items

    @property
    def products(self) -> Mapping[str, int]:
        """Return how many layers compute convolutions and matrix products, by precision."""
        return Counter(one.precision for one in self.layers if one.is_product)


def write_built(folder: Path, built: Built) -> None:
    """Write `engine.json`."""
    (folder / BUILT).write_bytes(msgspec.json.encode(built))


def read_built(folder: Path) -> Built:
    """Return the content of `engine.json`; raise `SchemaError` if it cannot be read."""
    path = artifact_file(folder, BUILT)
    try:
        return msgspec.json.decode(path.read_bytes(), type=Built)
    except msgspec.DecodeError as error:
        raise SchemaError(
            f"{path}: not what is told of an engine ({error}); build the artifact again"
        ) from error


def check_fits(folder: Path, built: Built, version: str, capability: str) -> None:
    """Raise `SchemaError` for an engine of another version or card, which neither could read."""
    again = "build the artifact again here"
    if built.version != version:
        raise SchemaError(
            f"{folder / ENGINE}: built with {built.engine} {built.version}, and {version} is "
            f"installed, which cannot read it; {again}, or install the other version"
        )
    if built.capability != capability:
        raise SchemaError(
            f"{folder / ENGINE}: built for a card with {built.capability}, and this one has "
            f"{capability}; {again}"
        )
