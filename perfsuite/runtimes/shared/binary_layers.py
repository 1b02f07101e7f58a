"""Which binary convolutions of a net ran on kernels for bits, by the kernels that were executed."""

from __future__ import annotations

from collections.abc import Sequence

from perfsuite.domain.finding import Finding
from perfsuite.domain.profile import Node
from perfsuite.domain.record import Evidence
from perfsuite.errors import SilentFallback
from perfsuite.export.binary_operator import DOMAIN, OPERATOR
from perfsuite.export.binary_torch import PACKED
from perfsuite.export.own_precision import BINARY
from perfsuite.runtimes.shared.precision import compute_precisions

BINARY_IN_FLOAT = "binary-in-float"  # the finding's name
_NAMED = 5  # layers in a message


def in_float(evidence: Evidence, nodes: Sequence[Node], runtime: str) -> Finding | None:
    """Return that some binary convolutions were computed in float; None if none was.

    `nodes` are those that the engine was given; it has kernels for bits. Raises `SilentFallback` if
    all of them were, as for a graph in INT8 without any kernel of 8 bits.

    An engine that names the layers of its kernels is held to their names, any other to how many
    there are.
    """
    asked = [node for node in nodes if node.kind in (f"{DOMAIN}::{OPERATOR}", PACKED)]
    if not asked:
        return None
    named = {layer.layer for layer in evidence.layers if layer.precision == BINARY}
    left = [node.name for node in asked if not named.intersection((node.name, node.path))]
    count = len(left)
    if count == len(asked):  # it names no layers, or by other words
        ran = sum(layer.precision == BINARY for layer in evidence.layers)
        ran = max(ran, compute_precisions(evidence.kernels).get(BINARY, 0))
        if not ran:
            raise SilentFallback(
                f"{runtime}: the net has binary convolutions, but no binary kernel ran: "
                f"{_listed(left)} computed in float, so that nothing is gained; {_FIX}"
            )
        left, count = [], max(0, len(asked) - ran)
    if not count:
        return None
    which = f": {_listed(left)}" if left else ""
    return Finding(
        BINARY_IN_FLOAT,
        runtime,
        f"{count} of {len(asked)} binary convolutions ran on no kernel for bits, but in float, so "
        f"that the cell is only simulated{which}",
        _FIX,
        "observed",
        "caution",
    )


_FIX = (
    "leave such layers real (`layers` of binarize names those that become binary), or run the "
    "recipe on another engine: docs/binary.md tells what each takes"
)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
