"""A recipe that is made from another: what it has of it, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite import api
from perfsuite.config import read_suite
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.errors import ConfigError

HEAD = 'workloads = ["vgg-digits"]\nruntimes = ["onnxruntime", "openvino"]\nthreads = 1\n'
HALF = """
[[recipes]]
name = "half"
workloads = ["vgg*"]
runtimes = ["openvino"]
passes = [{ use = "prune", macs = 0.5, finetune = { optimizer = "sgd", epochs = 2 } }]
"""
SMALLER = '[[recipes]]\nname = "smaller"\nfrom = "half"\npasses = [{ use = "int8" }]\n'

PRUNED = PassUse("prune", {"macs": 0.5, "finetune": {"optimizer": "sgd", "epochs": 2}})


def recipes(tmp_path: Path, text: str) -> dict[str, ResolvedRecipe]:
    path = tmp_path / "suite.toml"
    path.write_text(HEAD + text)
    return {recipe.name: recipe for recipe in read_suite(path).recipes}


def refusal(tmp_path: Path, text: str) -> str:
    """Return what all that is checked before a run says."""
    path = tmp_path / "suite.toml"
    path.write_text(HEAD + text)
    with pytest.raises(ConfigError) as caught:
        api.plan(path)
    return str(caught.value)


def test_the_passes_of_the_other_come_first_and_its_limits_hold(tmp_path: Path) -> None:
    found = recipes(tmp_path, HALF + SMALLER)
    expected = ResolvedRecipe("smaller", (PRUNED, PassUse("int8")), ("vgg*",), ("openvino",))
    assert found["smaller"] == expected
    # So it is, to the letter, what it was before it could say so: keys of caches stay.
    spelled = HALF.replace('"half"', '"smaller"').replace("} }]", '} }, { use = "int8" }]')
    assert recipes(tmp_path, spelled)["smaller"] == found["smaller"]


def test_what_it_says_itself_wins(tmp_path: Path) -> None:
    found = recipes(tmp_path, HALF + SMALLER + 'workloads = []\nruntimes = ["onnx*"]')["smaller"]
    assert (found.workloads, found.runtimes) == ((), ("onnx*",))


def test_the_order_in_the_file_is_free_and_a_base_may_have_one_itself(tmp_path: Path) -> None:
    last = '[[recipes]]\nname = "last"\nfrom = "smaller"\npasses = [{ use = "mine.py:More" }]\n'
    found = recipes(tmp_path, last + SMALLER + HALF)
    uses = (PRUNED, PassUse("int8"), PassUse(f"{tmp_path}/mine.py:More"))
    assert found["last"] == ResolvedRecipe("last", uses, ("vgg*",), ("openvino",))
    assert list(found) == ["fp32", "last", "smaller", "half"]


def test_what_does_nothing_may_be_a_base(tmp_path: Path) -> None:
    found = recipes(tmp_path, SMALLER.replace("half", "fp32"))
    assert found == {"fp32": FP32, "smaller": ResolvedRecipe("smaller", (PassUse("int8"),))}


def test_a_base_that_is_not_there(tmp_path: Path) -> None:
    assert refusal(tmp_path, HALF + SMALLER.replace('"half"', '"hafl"')) == (
        "suite.toml: recipes[1].from: there is no recipe 'hafl'; did you mean 'half'?"
    )


def test_a_recipe_made_from_itself(tmp_path: Path) -> None:
    circle = SMALLER + SMALLER.replace("smaller", "x").replace("half", "smaller")
    assert refusal(tmp_path, circle.replace("half", "x")) == (
        "suite.toml: recipes[1].from: 'smaller' from 'x' from 'smaller': no recipe can be made "
        "from itself; remove one `from`"
    )
    assert "recipes[0].from: 'x' from 'x': no" in refusal(
        tmp_path, SMALLER.replace("smaller", "x").replace("half", "x")
    )


def test_mistakes_are_told_where_they_stand(tmp_path: Path) -> None:
    wrong = SMALLER.replace("int8", "int9")
    assert "suite.toml: recipes[1].passes[0].use: unknown pass 'int9'" in refusal(
        tmp_path, HALF + wrong
    )
    # In the base, though what is made from it stands first.
    typo = HALF.replace("macs", "mac")
    assert "suite.toml: recipes[1].passes[0].mac: unknown key" in refusal(tmp_path, SMALLER + typo)
    nobody = HALF.replace("vgg*", "resnet*")
    assert "recipes[1].workloads[0]: no workload is 'resnet*'" in refusal(
        tmp_path, SMALLER + nobody
    )


def test_model_passes_come_before_those_on_graphs_of_the_base_too(tmp_path: Path) -> None:
    late = '[[recipes]]\nname = "r"\nfrom = "s"\npasses = [{ use = "prune", macs = 0.5 }]\n'
    graph = '[[recipes]]\nname = "s"\npasses = [{ use = "int8" }]\n'
    assert refusal(tmp_path, late + graph).startswith(
        "suite.toml: recipes[0].passes[0]: 'prune' changes the torch module, and 'int8' before it"
    )
