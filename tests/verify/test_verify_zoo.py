"""The zoo: no stored row has a fault, and some of its nets, others each day, still come out so.

PERFSUITE_ZOO_NETS says how many, or which by a pattern; PERFSUITE_ZOO_SEED draws those of another
day.
"""

from __future__ import annotations

import os
import random
import sys
from datetime import UTC, datetime
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("timm")

sys.path.append(str(Path(__file__).parents[2] / "benchmarks"))
import zoo
from zoo_rows import faults

pytestmark = pytest.mark.verify

STORED = zoo.stored()
ROWS = {one["net"]: one for one in sorted(STORED, key=lambda one: one["processor"] == zoo.here())}


def drawn() -> list[str]:
    """Return the nets to run: three of those that are stored, about a minute each."""
    asked = os.environ.get("PERFSUITE_ZOO_NETS", "3")
    if not asked.isdigit():
        return [net for net in ROWS if fnmatch(net, asked)]
    seed = os.environ.get("PERFSUITE_ZOO_SEED", datetime.now(UTC).date().isoformat())
    return random.Random(seed).sample(sorted(ROWS), min(int(asked), len(ROWS)))


def test_nets_are_stored() -> None:
    assert ROWS


@pytest.mark.parametrize("row", STORED, ids=lambda row: f"{row['net']}-{row['processor']}")
def test_no_stored_row_has_a_fault(row: dict[str, Any]) -> None:
    assert set(row["cells"]) == set(zoo.CELLS)
    assert not faults(row)


@pytest.mark.parametrize("net", drawn())
def test_a_net_comes_out_as_it_is_stored(net: str) -> None:
    found = zoo.run(net)
    assert not faults(found)
    before = ROWS[net]["cells"]
    for name, one in found["cells"].items():
        assert one["status"] == before[name]["status"], name
        if "int8_share" in before[name]:
            assert one["int8_share"] >= before[name]["int8_share"] - 0.02, name
