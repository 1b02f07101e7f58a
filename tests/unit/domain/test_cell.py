"""A cell's readable key, and its id: the same for the same configuration, on any machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec
import pytest

from perfsuite.domain.cell import Cell

PLAIN = Cell("net", "fp32", "fake")


@dataclass(frozen=True)
class Other:
    """A change of one field, and the key that follows."""

    field: str
    value: Any
    key: str


OTHERS = [
    Other("workload", "vgg", "vgg/fp32/fake/cpu/b1"),
    Other("recipe", "int8", "net/int8/fake/cpu/b1"),
    Other("runtime", "openvino", "net/fp32/openvino/cpu/b1"),
    Other("device", "cuda", "net/fp32/fake/cuda/b1"),
    Other("precision", "bf16", "net/fp32/fake/cpu/b1/bf16"),
    Other("batch", 8, "net/fp32/fake/cpu/b8"),
    Other("threads", 4, "net/fp32/fake/cpu/b1"),
]


def test_a_plain_cell() -> None:
    assert PLAIN.key == "net/fp32/fake/cpu/b1"
    # As journals of the first version have it: runs are joined by it.
    assert PLAIN.id == "6363bde954233cbe"


@pytest.mark.parametrize("other", OTHERS, ids=lambda other: other.field)
def test_every_field_is_told(other: Other) -> None:
    cell = msgspec.structs.replace(PLAIN, **{other.field: other.value})
    assert cell.key == other.key
    assert cell.id != PLAIN.id
    assert len(cell.id) == 16


def test_fields_that_are_added_later_leave_old_ids_alone() -> None:
    """What has its default is not part of the id, in whatever order it stands in a file."""
    text = b'{"runtime":"fake","batch":1,"recipe":"fp32","workload":"net","threads":1}'
    assert msgspec.json.decode(text, type=Cell).id == PLAIN.id
