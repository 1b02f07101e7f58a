"""What compiling found out, as it is kept with the artifact."""

from __future__ import annotations

from pathlib import Path

import msgspec

from perfsuite.domain.record import EvidenceItem
from perfsuite.errors import SchemaError
from perfsuite.runtimes.torch_compile.kernels import CodeCall

FILE = "compiled.json"
SHOWN = 3  # reasons of graph breaks


class Made(msgspec.Struct, frozen=True):
    """How an artifact was compiled: in `graphs` graphs, in `compile_s` seconds.

    `refusal` is why torch.export did not take the module; it is then compiled as it is. `breaks`
    counts, by reason, where its code falls into several graphs, with Python between them.
    """

    graphs: int
    compile_s: float
    refusal: str = ""
    breaks: dict[str, int] = {}
    calls: tuple[CodeCall, ...] = ()  # of the compiled code in their order, if they are known

    @property
    def whole(self) -> bool:
        """Tell whether it is an exported program."""
        return not self.refusal

    def items(self) -> tuple[EvidenceItem, ...]:
        """Return it as evidence."""
        form = f"the module itself, as torch.export refuses it: {self.refusal}"
        reasons = [f"{reason} ({times})" for reason, times in self.breaks.items()]
        more = f" and {len(reasons) - SHOWN} more" if len(reasons) > SHOWN else ""
        total = sum(self.breaks.values())
        breaks = f"{total}: {'; '.join(reasons[:SHOWN])}{more}" if total else "none"
        return (
            _item("form", "an exported program" if self.whole else form),
            _item("graph breaks", breaks),
            _item("compiling", f"{self.compile_s:.1f} s, {self.graphs} graphs"),
        )


def _item(name: str, value: str) -> EvidenceItem:
    return EvidenceItem("reported", "compiler", name, value)


def write_made(folder: Path, made: Made) -> None:
    """Write it beside the engine's files."""
    (folder / FILE).write_bytes(msgspec.json.encode(made))


def read_made(folder: Path) -> Made:
    """Return it; raise `SchemaError` where it is missing or cannot be read."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Made)
    except (OSError, msgspec.DecodeError) as error:
        raise SchemaError(
            f"{folder / FILE}: this file is missing or corrupt ({error}); build the artifact again"
        ) from error
