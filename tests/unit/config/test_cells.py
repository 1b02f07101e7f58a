"""A suite's cells, and the budgets that must find theirs."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from perfsuite.config import cells, check_budgets, expects, match, read_suite
from perfsuite.config.references import held_against, referred
from perfsuite.domain.cell import Cell
from perfsuite.domain.looks import Looks
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.suite import Budget, Expect, ResolvedSuite
from perfsuite.errors import ConfigError

DEMO = Path(__file__).parents[3] / "benchmarks" / "demo.toml"
SUITE = ResolvedSuite(
    "s",
    {"vgg": "vgg", "net": "/x/net.onnx"},
    ("pytorch", "openvino"),
    (FP32, ResolvedRecipe("int8", (PassUse("int8"),))),
    batches=(1, 8),
    threads=2,
)


def test_cells_are_the_product_in_the_order_of_the_suite() -> None:
    keys = [cell.key for cell in cells(SUITE)]
    assert len(keys) == len(set(keys)) == 2 * 2 * 2 * 2
    assert keys[:5] == [
        "vgg/fp32/pytorch/cpu/b1",
        "vgg/fp32/pytorch/cpu/b8",
        "vgg/fp32/openvino/cpu/b1",
        "vgg/fp32/openvino/cpu/b8",
        "vgg/int8/pytorch/cpu/b1",
    ]
    assert keys[8] == "net/fp32/pytorch/cpu/b1"
    assert {cell.threads for cell in cells(SUITE)} == {2}


def test_equal_combinations_are_one_cell() -> None:
    twice = msgspec.structs.replace(SUITE, batches=(1, 8, 1))
    assert cells(twice) == cells(SUITE)


def test_threads_left_out_are_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("perfsuite.measure.environment.usable_threads", lambda: 7)
    assert {cell.threads for cell in cells(msgspec.structs.replace(SUITE, threads=None))} == {7}


@pytest.mark.parametrize(
    ("pattern", "key", "matches"),
    [
        ("vgg/int8/*", "vgg/int8/openvino/cpu/b1", True),
        ("*/b1", "vgg/int8/openvino/cpu/b1", True),
        ("vgg/int8", "vgg/int8/openvino/cpu/b1", False),
        ("VGG/*", "vgg/int8/openvino/cpu/b1", False),
        ("vgg/*/cpu/b?", "vgg/int8/openvino/cpu/b1", True),
        ("*/b1", "vgg/int8/openvino/cpu/b11", False),
    ],
)
def test_globs_match_whole_keys(pattern: str, key: str, matches: bool) -> None:
    assert match(pattern, key) is matches


def held(**fields: object) -> ResolvedSuite:
    given = {"name": "fast", "metric": "latency_s", "min_speedup": 2.0, **fields}
    return msgspec.structs.replace(SUITE, budgets=(msgspec.convert(given, Budget),))


def test_a_budget_must_find_cells_and_one_reference() -> None:
    check_budgets(held(against="vgg/fp32/pytorch/cpu/b1"), cells(SUITE))
    with pytest.raises(ConfigError) as caught:
        check_budgets(held(cell="vggg/*", against="vgg/fp32/pytorch/cpu/b1"), cells(SUITE))
    assert str(caught.value).startswith(
        "s.toml: budgets[0].cell: budget 'fast': 'vggg/*' matches no cell: vgg/fp32/pytorch/cpu/b1"
    )
    assert str(caught.value).endswith("and 8 more")
    with pytest.raises(ConfigError, match=r"budgets\[0\]\.against: .* matches no cell"):
        check_budgets(held(against="vgg/fp64/*"), cells(SUITE))
    with pytest.raises(ConfigError) as caught:
        check_budgets(held(against="vgg/fp32/pytorch/*"), cells(SUITE))
    assert str(caught.value) == (
        "s.toml: budgets[0].against: budget 'fast': 'vgg/fp32/pytorch/*' matches 2 cells where one "
        "reference is needed: vgg/fp32/pytorch/cpu/b1, vgg/fp32/pytorch/cpu/b8"
    )


@pytest.mark.parametrize(
    ("against", "cell", "found"),
    [
        ("fp32/pytorch", "net/int8/openvino/cpu/b8", ["net/fp32/pytorch/cpu/b8"]),
        ("fp32/pytorch/*", "net/int8/openvino/cpu/b8", ["net/fp32/pytorch/cpu/b8"]),
        ("fp32/pytorch/cpu/b1", "net/int8/openvino/cpu/b8", ["net/fp32/pytorch/cpu/b1"]),
        ("fp32/*torch", "vgg/int8/openvino/cpu/b1", ["vgg/fp32/pytorch/cpu/b1"]),
        ("vgg/fp32/pytorch/cpu/b1", "net/int8/openvino/cpu/b8", ["vgg/fp32/pytorch/cpu/b1"]),
        (
            "fp32",
            "vgg/int8/openvino/cpu/b1",
            ["vgg/fp32/pytorch/cpu/b1", "vgg/fp32/openvino/cpu/b1"],
        ),
        ("fp32/torch", "vgg/int8/openvino/cpu/b1", []),
        ("fp32/pytorch/cpu/b2", "vgg/int8/openvino/cpu/b1", []),
        ("pytorch", "vgg/int8/openvino/cpu/b1", []),
    ],
)
def test_a_reference_without_a_workload_is_of_the_cells_own(
    against: str, cell: str, found: list[str]
) -> None:
    every = cells(SUITE)
    own = next(one for one in every if one.key == cell)
    assert [one.key for one in referred(against, own, every)] == found


def test_a_workloads_name_is_no_glob() -> None:
    every = (Cell("a[b]", "fp32", "fake"), Cell("ab", "fp32", "fake"), Cell("a[b]", "int8", "fake"))
    assert referred("fp32/fake", every[2], every) == [every[0]]


def test_one_budget_may_speak_of_many_workloads() -> None:
    suite = held(cell="*/int8/openvino/*", against="fp32/pytorch")
    check_budgets(suite, cells(SUITE))
    of = held_against(suite.budgets, cells(SUITE), cells(SUITE))
    assert {cell.key: [other.key for other in others] for cell, others in of.items() if others} == {
        f"{name}/int8/openvino/cpu/b{batch}": [f"{name}/fp32/pytorch/cpu/b{batch}"]
        for name in ("vgg", "net")
        for batch in (1, 8)
    }


@pytest.mark.parametrize(
    ("against", "told"),
    [
        (
            "*/fp32/pytorch/cpu/b1",
            "'*/fp32/pytorch/cpu/b1' matches 2 cells where one reference is needed: "
            "vgg/fp32/pytorch/cpu/b1, net/fp32/pytorch/cpu/b1; for the cell of the same workload "
            'write against = "fp32/pytorch"',
        ),
        (
            "fp32",
            "'fp32' matches 2 cells where one reference is needed: vgg/fp32/pytorch/cpu/b1, "
            'vgg/fp32/openvino/cpu/b1; write more of it, such as against = "fp32/pytorch/cpu/b1"',
        ),
    ],
)
def test_an_ambiguous_reference_is_told_with_what_to_write(against: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_budgets(held(cell="*/int8/*", against=against), cells(SUITE))
    assert str(caught.value) == f"s.toml: budgets[0].against: budget 'fast': {told}"


def test_a_workload_without_the_reference_is_named() -> None:
    kept = [cell for cell in cells(SUITE) if cell.key != "net/fp32/pytorch/cpu/b8"]
    with pytest.raises(ConfigError) as caught:
        check_budgets(held(cell="*/int8/*", against="fp32/pytorch"), kept)
    assert str(caught.value) == (
        "s.toml: budgets[0].against: budget 'fast': net has no cell 'fp32/pytorch' of a batch of "
        "8, to hold net/int8/pytorch/cpu/b8 against; let `cell` name only those that have"
    )


def test_an_expectation_must_speak_of_some_cell() -> None:
    good = Expect("unsupported", "why", recipe="int*", runtime="pytorch")
    check_budgets(msgspec.structs.replace(SUITE, expect=(good,)), cells(SUITE))
    assert expects(good, Cell("vgg", "int8", "pytorch"))
    assert not expects(good, Cell("vgg", "int8", "openvino"))
    assert not expects(good, Cell("vgg", "fp32", "pytorch"))
    bad = Expect("unsupported", "why", device="cuda*")
    with pytest.raises(ConfigError, match=r"s.toml: expect\[1\]: matches no cell"):
        check_budgets(msgspec.structs.replace(SUITE, expect=(good, bad)), cells(SUITE))


def test_the_demo_is_a_suite_of_twelve_cells_whose_budgets_all_find_theirs() -> None:
    suite = read_suite(DEMO)
    found = cells(suite)
    check_budgets(suite, found)
    assert len(found) == 2 * 2 * 3
    assert {cell.threads for cell in found} == {2}
    assert (suite.processes, suite.looks) == (8, Looks(4, 8))
    assert suite.evaluate.samples == 2000
    expected = {cell.key for cell in found if any(expects(e, cell) for e in suite.expect)}
    assert expected == {f"{name}-cifar10/int8/pytorch/cpu/b1" for name in ("vgg16", "shufflenet")}


def limited(**fields: tuple[str, ...]) -> ResolvedSuite:
    recipe = msgspec.structs.replace(SUITE.recipes[1], **fields)
    return msgspec.structs.replace(SUITE, recipes=(FP32, recipe), batches=(1,))


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, {"vgg/pytorch", "vgg/openvino", "net/pytorch", "net/openvino"}),
        ({"workloads": ("vgg",)}, {"vgg/pytorch", "vgg/openvino"}),
        ({"workloads": ("n*", "none")}, {"net/pytorch", "net/openvino"}),
        ({"workloads": ("*",)}, {"vgg/pytorch", "vgg/openvino", "net/pytorch", "net/openvino"}),
        ({"runtimes": ("openvino",)}, {"vgg/openvino", "net/openvino"}),
        ({"workloads": ("vgg",), "runtimes": ("pytorch",)}, {"vgg/pytorch"}),
        ({"workloads": ("VGG",)}, set()),
    ],
)
def test_a_recipe_may_be_for_some_workloads_and_runtimes_alone(
    fields: dict[str, tuple[str, ...]], expected: set[str]
) -> None:
    found = cells(limited(**fields))
    small = {f"{cell.workload}/{cell.runtime}" for cell in found if cell.recipe == "int8"}
    assert small == expected
    assert len([cell for cell in found if cell.recipe == "fp32"]) == 4  # what it is held against


def test_a_budget_on_a_cell_that_its_recipe_leaves_out_matches_none() -> None:
    suite = msgspec.structs.replace(
        limited(workloads=("vgg",)),
        budgets=(Budget("b", cell="net/int8/*", metric="latency_s", max=1.0),),
    )
    with pytest.raises(ConfigError, match=r"budgets\[0\].cell: budget 'b': 'net/int8/\*' matches"):
        check_budgets(suite, cells(suite))
