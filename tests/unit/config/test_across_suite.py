"""The cells of INT8 on other processors, and how many samples they answer."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from overflowing_net import project

from perfsuite.config.across_suite import across_suite, cells_across, fitting, portable_form
from perfsuite.config.run_plan import plan
from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import PassUse, ResolvedRecipe
from perfsuite.domain.suite import Evaluate
from perfsuite.errors import ConfigError
from perfsuite.runner.groups import groups
from perfsuite.runner.job import first_job

WITH_VNNI, WITHOUT = ("avx2", "avx512f", "avx512_vnni"), ("avx2",)


@pytest.fixture
def reference(tmp_path: Path) -> str:
    return project(tmp_path)


def keys(reference: str, flags: tuple[str, ...], *runtimes: str, recipe: str = "int8") -> list[str]:
    suite = across_suite(reference, runtimes, recipe, threads=1)
    return [cell.key.removeprefix("net/") for cell in cells_across(suite, flags)]


def test_each_form_answers_here_and_as_on_each_other_processor(reference: str) -> None:
    own = ("", "/onednn-avx512", "/onednn-avx2")
    openvino = [f"{form}/openvino/cpu/b1{one}" for form in ("int8", "int8-portable") for one in own]
    assert keys(reference, WITH_VNNI, "openvino") == openvino
    assert keys(reference, WITH_VNNI, "onnxruntime") == [
        f"{form}/onnxruntime/cpu/b1{one}"
        for form in ("int8", "int8-portable")
        for one in ("", "/qemu-haswell")
    ]
    assert len(keys(reference, WITH_VNNI)) == 10, "both, by default"


def test_a_processor_of_2021_has_vnni_and_no_avx512(reference: str) -> None:
    found = keys(reference, ("avx2", "avx_vnni"), "openvino")
    assert "int8/openvino/cpu/b1/onednn-avx2" in found
    assert "int8/openvino/cpu/b1/onednn-avx512" not in found


@pytest.mark.parametrize("flags", [WITHOUT, ("asimd", "asimddp"), ()])
def test_without_vnni_here_there_is_no_other_processor(
    reference: str, flags: tuple[str, ...]
) -> None:
    assert not [one for one in keys(reference, flags) if one.count("/") > 3]


def test_the_portable_form_has_all_other_fields() -> None:
    cut = PassUse("prune", {"ratio": 0.5})
    recipe = ResolvedRecipe("small", (cut, PassUse("int8", {"keep": ["head"]})))
    found = portable_form(recipe)
    assert found is not None and found.name == "small-portable"
    assert found.passes == (cut, PassUse("int8", {"keep": ["head"], "portable": True}))
    assert portable_form(found) is None
    assert portable_form(ResolvedRecipe("fp32")) is None


def test_a_file_that_is_int8_already_has_one_form(reference: str) -> None:
    found = keys(reference, WITH_VNNI, "onnxruntime", recipe="fp32")
    assert found == ["fp32/onnxruntime/cpu/b1", "fp32/onnxruntime/cpu/b1/qemu-haswell"]


def test_an_unknown_recipe_is_refused_with_a_suggestion(reference: str) -> None:
    with pytest.raises(ConfigError, match="did you mean 'int8'"):
        across_suite(reference, (), "int9")


def test_cells_there_only_answer_and_both_forms_are_timed_together(reference: str) -> None:
    suite = across_suite(reference, ["openvino"], threads=1)
    cells = cells_across(suite, WITH_VNNI)
    ((one, other),) = groups(suite, cells)
    assert [one.recipe, other.recipe] == ["int8", "int8-portable"]
    assert not one.switch and not other.switch
    planned = {(job.cell, job.kind) for job in plan(suite, cells, {}).jobs}
    there = "net/int8/openvino/cpu/b1/onednn-avx2"
    assert {kind for cell, kind in planned if cell == there} == {"prepare", "evaluate"}


def test_each_runtime_answers_as_many_as_fit(reference: str) -> None:
    suite = across_suite(reference, threads=1)
    assert suite.across is not None
    asked = msgspec.structs.replace(suite.across, samples={"onnxruntime": 50})
    suite = msgspec.structs.replace(suite, across=asked)
    jobs = {cell.runtime: first_job(suite, cell) for cell in cells_across(suite, WITH_VNNI)}
    assert jobs["onnxruntime"].evaluate == Evaluate(50)
    assert jobs["openvino"].evaluate == Evaluate()


def cell(runtime: str, switch: str) -> Cell:
    return Cell("net", "int8", runtime, switch=switch)


SLOW = cell("onnxruntime", "qemu-haswell")
CAPPED = (cell("openvino", "onednn-avx2"), cell("openvino", "onednn-avx512"))


def test_what_the_fast_runtime_leaves_the_slow_one_has() -> None:
    """Both forms of both caps take 2 * (1 + 1) ms a sample: 10,000, which is the most, take 40 s.

    Of 120 s then 80 s are left for two emulated forms of 0.1 s: 400 fit, and 200 is round.
    """
    seconds = {SLOW: 0.1, **dict.fromkeys(CAPPED, 0.001)}
    assert fitting(seconds, 2.0) == {"openvino": 10_000, "onnxruntime": 200}


@pytest.mark.parametrize(
    ("each_s", "count"), [(1.49, 20), (1.51, 0), (0.6, 50), (0.31, 50), (0.29, 100), (1e-9, 10_000)]
)
def test_numbers_are_round_and_too_few_are_none(each_s: float, count: int) -> None:
    assert fitting({SLOW: each_s}, 1.0) == {"onnxruntime": count}


def test_without_others_nothing_has_to_fit() -> None:
    assert fitting({}, 4.0) == {}
