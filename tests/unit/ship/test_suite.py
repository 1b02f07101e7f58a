"""The suite of what is shipped: which budgets, which cells, which paths."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from judged_runs import EAGER, INT8, budget, record, run

from perfsuite.config import cells, read_suite, requires
from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe, Shipped
from perfsuite.domain.record import Run
from perfsuite.domain.suite import Evaluate, Expect, Require, ResolvedSuite
from perfsuite.errors import ConfigError
from perfsuite.ship.portable import named, portable
from perfsuite.ship.suite import guarded, write_suite

FAST = budget(name="fast", min_speedup=5.0)
RIGHT = budget(name="right", metric="top1", max_drop_points=1.0, against="fp32/pytorch")
HALF = msgspec.structs.replace(INT8, precision="bf16")


def written(folder: Path, of: Run, cell: Cell) -> ResolvedSuite:
    write_suite(folder / "suite.toml", of, cell, guarded(of, cell), folder)
    return read_suite(folder / "suite.toml")


def test_the_budgets_of_the_cell_are_those_of_the_new_suite(tmp_path: Path) -> None:
    other = budget(name="of another", cell="vgg/fp32/openvino/*", min_speedup=1.0)
    before = budget(name="a baseline's", against=None, baseline=True, max_increase=0.1)
    small = budget(name="small", metric="artifact_bytes", against=None, max=1e6)
    of = run(
        record(EAGER),
        record(INT8),
        budgets=(FAST, RIGHT, other, before, small),
        recipes=(FP32, ResolvedRecipe("int8", (PassUse("int8", {"calibration_samples": 7}),))),
        threads=2,
        processes=5,
        evaluate=Evaluate(300),
        expect=(Expect("unsupported", "not here", runtime="tpu"), Expect("unsupported", "x")),
    )
    suite = written(tmp_path, of, INT8)
    assert cells(suite) == (
        msgspec.structs.replace(EAGER, threads=1),
        msgspec.structs.replace(INT8, threads=1),
    )
    keys = [(one.name, one.cell, one.against, one.min_speedup, one.max_drop_points, one.max)
            for one in suite.budgets]  # fmt: skip
    assert keys == [
        ("fast", INT8.key, EAGER.key, 5.0, None, None),
        ("right", INT8.key, EAGER.key, None, 1.0, None),
        ("small", INT8.key, None, None, None, 1e6),
    ]
    assert suite.recipes[1].passes == (PassUse("int8", {"calibration_samples": 7}),)
    shipped = Shipped(str(tmp_path / "artifact"), "openvino", "cpu", "fp32", 1)
    assert suite.recipes[1].shipped == shipped
    assert (suite.processes, suite.looks, suite.evaluate.samples) == (5, None, 300)
    assert suite.expect == ()  # there is no cell beside these


def test_a_name_that_a_reference_has_is_another_ones(tmp_path: Path) -> None:
    bf16 = Cell("vgg", "fp32", "openvino", precision="bf16", batch=4)
    eager = msgspec.structs.replace(EAGER, batch=4)
    of = run(record(eager), record(bf16), budgets=(budget(cell="vgg/fp32/*", min_speedup=2.0),))
    suite = written(tmp_path, of, bf16)
    assert [cell.key for cell in cells(suite)] == [
        "vgg/fp32/pytorch/cpu/b4",
        "vgg/fp32-shipped/openvino/cpu/b4/bf16",
    ]
    assert suite.budgets[0].cell == "vgg/fp32-shipped/openvino/cpu/b4/bf16"
    assert suite.recipes[1].passes == ()


def test_a_reference_that_passes_have_made_is_built_again(tmp_path: Path) -> None:
    mine = (PassUse("/somewhere/passes.py:Mine", {"student": "/somewhere/net.py:small"}),)
    held = budget(cell=HALF.key, against=INT8.key, min_speedup=1.1)
    of = run(
        record(INT8),
        record(HALF),
        budgets=(held,),
        recipes=(FP32, ResolvedRecipe("int8", mine)),
        workloads={"vgg": "/somewhere/models/my_models.py:vgg"},
        expect=(
            Expect("unsupported", "not here", runtime="tpu"),
            Expect("unsupported", "of int8", recipe="int8"),
            Expect("unavailable", "of what stands beside it", recipe="fp32"),
        ),
    )
    suite = written(tmp_path, of, HALF)
    assert [cell.key for cell in cells(suite)] == [
        "vgg/fp32/openvino/cpu/b1",
        INT8.key,
        "vgg/int8-shipped/openvino/cpu/b1/bf16",
    ]
    assert suite.workloads == of.header.suite.workloads
    assert [one.reason for one in suite.expect] == ["of what stands beside it"]
    assert suite.recipes[1].passes[0].use == mine[0].use
    assert "/somewhere" not in (tmp_path / "suite.toml").read_text().replace("../somewhere", "")


def test_what_was_required_of_the_cell_is_required_of_what_is_shipped(tmp_path: Path) -> None:
    of = run(
        record(EAGER),
        record(INT8),
        budgets=(FAST,),
        require=(
            Require("oneDNN", "AVX-512 VNNI", runtime="openvino", reason="7 bits without"),
            Require("MKL", runtime="pytorch"),
        ),
    )
    suite = written(tmp_path, of, INT8)
    (kept,) = suite.require
    assert (kept.what, kept.reason) == ("oneDNN with AVX-512 VNNI", "7 bits without")
    assert [cell.key for cell in cells(suite) if requires(kept, cell)] == [INT8.key]


def test_without_a_budget_there_is_nothing_to_guard_it_by() -> None:
    with pytest.raises(ConfigError, match="no budget of this run holds it against anything"):
        guarded(run(record(EAGER), record(INT8), budgets=(FAST,)), EAGER)


def test_paths_are_relative_wherever_they_stand(tmp_path: Path) -> None:
    found = portable({"a": ["/x/net.onnx", "net", 3], "b": {"c": "/x/y/m.py:n"}}, Path("/x/ship"))
    assert found == {"a": ["../net.onnx", "net", 3], "b": {"c": "../y/m.py:n"}}
    assert named("perfsuite optimize '/home/my nets/net.py:net' --ship=/a/out 3") == (
        "perfsuite optimize net.py:net --ship=out 3"
    )
