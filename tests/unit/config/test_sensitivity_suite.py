"""The suite behind `perfsuite sensitivity`: a recipe for each part, with a name for keys."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from perfsuite.config.sensitivity_suite import PROCESSES, asked_suite, sensitivity_suite
from perfsuite.domain.recipe import PassUse
from perfsuite.domain.sensitivity import Answer, By, Changeable
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.errors import ConfigError

LAYERS = ("stem", "body.a", "body.b", "/head/fc/Gemm")
STAGES = {"body": ("stem", "body.a", "body.b"), "the head": ("/head/fc/Gemm",)}


def answer(**fields: Any) -> Answer:
    left = {"body.norm": "it has no weights to round"}
    return Answer(**({"changeable": Changeable(LAYERS, left), "stages": STAGES} | fields))


def made(
    *passes: str, by: By = "layer", patterns: tuple[str, ...] = (), **fields: Any
) -> ResolvedSuite:
    asked = asked_suite("vgg-digits", passes or ("int8",), "openvino", threads=2)
    answers = {given: answer(**fields) for given in asked.cells}
    suite, cells = sensitivity_suite(asked, answers, by, patterns)
    assert [cell.recipe for cell in cells] == [one.name for one in suite.recipes]
    return suite


def test_each_layer_has_a_recipe_that_changes_it_alone() -> None:
    suite = made(validates=True)
    assert [one.name for one in suite.recipes] == [
        "fp32", "int8@stem", "int8@body.a", "int8@body.b", "int8@_head_fc_Gemm",
    ]  # fmt: skip
    uses = [one.passes for one in suite.recipes[1:]]
    assert uses == [(PassUse("int8", {"layers": [layer]}),) for layer in LAYERS]
    asked = suite.sensitivity
    assert asked is not None
    assert [(one.name, one.layers) for one in asked.units] == [(one, (one,)) for one in LAYERS]
    assert asked.left == {"int8": {"body.norm": "it has no weights to round"}}


def test_a_stage_is_all_of_its_layers() -> None:
    suite = made("int8", by="stage")
    assert [one.name for one in suite.recipes] == ["fp32", "int8@body", "int8@the_head"]
    assert suite.recipes[1].passes[0].fields == {"layers": ["stem", "body.a", "body.b"]}


def test_samples_are_those_for_validation_and_processes_a_fixed_number() -> None:
    suite = made(validates=True)
    assert suite.evaluate.split == "validation"
    assert (suite.processes, suite.looks, suite.budgets) == (PROCESSES, None, ())
    assert suite.name == "sensitivity-vgg-digits"
    assert not suite.hold_out  # nothing trains


def test_prune_takes_half_and_looks_at_gradients_only_where_there_are_samples() -> None:
    fields = made("prune", trains=True, validates=True).recipes[1].passes[0].fields
    assert fields == {
        "ratio": 0.5, "scope": "uniform", "importance": "taylor", "layers": ["stem"],
    }  # fmt: skip
    fields = made("prune").recipes[1].passes[0].fields
    assert (fields["importance"], "finetune" in fields) == ("l2", False)


def test_training_samples_that_validation_uses_are_held_out() -> None:
    assert made("prune", trains=True, validates=True).hold_out
    assert not made("prune", trains=True, validates=False).hold_out


def test_several_passes_stand_side_by_side() -> None:
    suite = made("int8", "lowrank")
    assert [one.name for one in suite.recipes[4:6]] == ["int8@_head_fc_Gemm", "lowrank@stem"]
    assert suite.sensitivity is not None
    assert set(suite.sensitivity.left) == {"int8", "lowrank"}


def test_names_that_become_the_same_key_are_told_apart() -> None:
    layers = ("a/b", "a b", "a*b")
    suite = made(changeable=Changeable(layers))
    assert [one.name for one in suite.recipes[1:]] == ["int8@a_b", "int8@a_b-2", "int8@a_b-3"]
    assert [one.passes[0].fields["layers"] for one in suite.recipes[1:]] == [[x] for x in layers]


@pytest.mark.parametrize(
    ("patterns", "by", "parts"),
    [
        (("body",), "layer", ["body.a", "body.b"]),
        (("body.?", "stem"), "layer", ["stem", "body.a", "body.b"]),
        (("body",), "stage", ["body"]),
        (("/head/fc/Gemm",), "stage", ["the head"]),
    ],
)
def test_patterns_leave_only_what_they_name(
    patterns: tuple[str, ...], by: By, parts: list[str]
) -> None:
    suite = made(by=by, patterns=patterns)
    assert suite.sensitivity is not None
    assert [one.name for one in suite.sensitivity.units] == parts
    if by == "stage" and parts == ["body"]:
        assert suite.sensitivity.units[0].layers == ("body.a", "body.b")  # and not the stem


def test_the_suite_is_stored_and_read_again() -> None:
    suite = made("int8", "prune", by="stage")
    again = msgspec.json.decode(msgspec.json.encode(suite), type=ResolvedSuite)
    assert again == suite


@pytest.mark.parametrize(
    ("passes", "message"),
    [
        (("int9",), "--pass: unknown pass 'int9'; did you mean 'int8'?"),
        (("int8", "int8"), "--pass 'int8' is given twice"),
        (("no.py:Pass",), "no.py"),
    ],
)
def test_passes_that_are_none(passes: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        asked_suite("vgg-digits", passes, "openvino")
    assert message in str(error.value)


def test_names_that_nothing_has() -> None:
    with pytest.raises(ConfigError, match=r"--layers: no layer .* 'body.c'; did you mean 'body"):
        made(patterns=("body.c",))
    with pytest.raises(ConfigError, match="unknown workload 'vgg-digit'; did you mean"):
        asked_suite("vgg-digit", ("int8",), "openvino")
    with pytest.raises(ConfigError, match="unknown runtime 'openvin'; did you mean 'openvino'"):
        asked_suite("vgg-digits", ("int8",), "openvin")
    with pytest.raises(ConfigError, match="--by stage: no stage is left"):
        made(by="stage", stages={})
