"""Which cell another is compared with, and which one a compressed variant came from."""

from __future__ import annotations

from typing import Any

import judged_runs
import pytest
from judged_runs import EAGER, INT8, record

from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.record import Record, Run
from perfsuite.judge import gain, parent_cell, reference_cell

HALF = PassUse("prune", {"ratio": 0.5})
QUARTER = PassUse("prune", {"ratio": 0.75})
LOW, QUANTIZE = PassUse("lowrank"), PassUse("int8")
RECIPES = (
    FP32,
    ResolvedRecipe("half", (HALF,)),
    ResolvedRecipe("quarter", (QUARTER,)),
    ResolvedRecipe("half-low", (HALF, LOW)),
    ResolvedRecipe("half-low-int8", (HALF, LOW, QUANTIZE)),
    ResolvedRecipe("quarter-int8", (QUARTER, QUANTIZE)),
    ResolvedRecipe("int8", (QUANTIZE,)),
)


def test_the_reference_is_eager_fp32_of_the_same_batch() -> None:
    first, eager = Cell("vgg", "fp32", "openvino"), EAGER
    batch8 = Cell("vgg", "fp32", "openvino", batch=8)
    half = Cell("vgg", "fp32", "pytorch", precision="bf16")
    cells = [first, half, eager, batch8]
    assert reference_cell(INT8, cells) == eager
    assert reference_cell(INT8, [first, half]) == first
    assert reference_cell(Cell("vgg", "int8", "openvino", batch=8), cells) == batch8
    assert reference_cell(Cell("other", "fp32", "pytorch"), cells) is None


def test_of_eager_cells_that_of_the_same_device_comes_first() -> None:
    on_card = Cell("vgg", "fp32", "pytorch", "cuda")
    fast = Cell("vgg", "int8", "openvino", "cuda")
    assert reference_cell(fast, [EAGER, on_card]) == on_card
    assert reference_cell(INT8, [on_card, EAGER]) == EAGER
    assert reference_cell(fast, [EAGER]) == EAGER  # else on another device
    # Without an eager cell it is the first, whatever its device.
    other = Cell("vgg", "fp32", "openvino", "cuda")
    here = Cell("vgg", "fp32", "onnxruntime")
    assert reference_cell(INT8, [other, here]) == other
    assert reference_cell(fast, [here, other]) == here


def cell(recipe: str, **fields: Any) -> Cell:
    return Cell("vgg", recipe, "openvino", **fields)


def run(*records: Record) -> Run:
    return judged_runs.run(*records, recipes=RECIPES)


@pytest.mark.parametrize(
    ("recipe", "parent"),
    [
        ("half", "fp32"),
        ("half-low", "half"),
        ("half-low-int8", "half-low"),
        ("quarter-int8", "quarter"),  # the same pass with other fields is another
        ("int8", "fp32"),
    ],
)
def test_the_parent_does_most_of_the_same(recipe: str, parent: str) -> None:
    everything = run(*(record(cell(one.name)) for one in reversed(RECIPES)))
    assert parent_cell(everything, cell(recipe)) == cell(parent)


def test_a_recipe_that_the_suite_does_not_have_is_no_parent() -> None:
    runs = run(record(cell("unknown")), record(cell("half")))
    assert parent_cell(runs, cell("half")) is None
    runs = run(record(cell("fp32")), record(cell("half")), record(cell("unknown")))
    assert parent_cell(runs, cell("unknown")) == cell("fp32")


def test_fp32_has_no_parent() -> None:
    assert parent_cell(run(record(cell("fp32")), record(cell("half"))), cell("fp32")) is None


def test_a_parent_that_did_not_end_well_is_passed_over() -> None:
    runs = run(
        record(cell("fp32")),
        record(cell("half"), status="failed"),
        record(cell("half-low")),
    )
    assert parent_cell(runs, cell("half-low")) == cell("fp32")
    alone = run(record(cell("fp32"), status="incomplete"), record(cell("half")))
    assert parent_cell(alone, cell("half")) is None
    assert gain(alone, cell("half")) is None


@pytest.mark.parametrize(
    "other",
    [
        Cell("net", "fp32", "openvino"),
        Cell("vgg", "fp32", "onnxruntime"),
        cell("fp32", batch=8),
        cell("fp32", threads=2),
        cell("fp32", precision="bf16"),
    ],
)
def test_a_parent_differs_in_the_recipe_alone(other: Cell) -> None:
    assert parent_cell(run(record(other), record(cell("half"))), cell("half")) is None


def test_where_an_engine_takes_no_net_without_passes_the_fastest_other_is_the_parent() -> None:
    own = cell("half")
    slow, fast = Cell("vgg", "fp32", "pytorch"), Cell("vgg", "fp32", "onnxruntime")
    known: dict[str, Any] = {"values": {"macs": (128.0,)}}
    runs = run(
        record(cell("fp32"), status="unsupported"),
        record(slow, 4.0, **known),
        record(fast, 2.0, **known),
        record(Cell("vgg", "fp32", "onnxruntime", batch=8), 1.0, **known),
        record(own, 0.5, values={"macs": (2.0,)}),
    )
    assert parent_cell(runs, own) == fast
    found = gain(runs, own)
    assert found is not None
    assert (found.parent, found.recipe, found.macs_ratio) == (fast.key, "fp32/onnxruntime", 64.0)
