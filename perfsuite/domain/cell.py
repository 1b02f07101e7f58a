"""A cell: one combination that is measured, as configuration only."""

from __future__ import annotations

import hashlib

import msgspec


class Cell(msgspec.Struct, frozen=True, omit_defaults=True):
    """Workload x recipe x runtime x device x precision x batch x threads x switch.

    A cell has only the names of workload and recipe; their contents are identified by the artifact
    key. `switch` names what is turned off or capped in the processes that run its artifact, which
    is that of the cell without; empty for none.
    """

    workload: str
    recipe: str
    runtime: str
    device: str = "cpu"
    precision: str = "fp32"
    batch: int = 1
    threads: int = 1
    switch: str = ""

    @property
    def key(self) -> str:
        """Return the readable key that globs match, such as `vgg16/int8/openvino/cpu/b1`."""
        parts = [self.workload, self.recipe, self.runtime, self.device, f"b{self.batch}"]
        if self.precision != "fp32":
            parts.append(self.precision)
        if self.switch:
            parts.append(self.switch)
        return "/".join(parts)

    @property
    def id(self) -> str:
        """Return 16 hexadecimal digits: the same for the same configuration, on any machine."""
        fields = msgspec.json.encode(self, order="sorted")
        return hashlib.sha256(fields).hexdigest()[:16]
