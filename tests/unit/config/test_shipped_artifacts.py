"""Recipes that run what was shipped: their one cell, and what is refused before anything is run."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from perfsuite import Recipe, Suite
from perfsuite.config import cells, check, read_suite
from perfsuite.config.loading import load_suite
from perfsuite.config.run_plan import plan
from perfsuite.domain.recipe import PassUse, Shipped
from perfsuite.domain.runtime import MANIFEST, Manifest
from perfsuite.errors import ConfigError
from perfsuite.store.kept import keep

HEAD = """
workloads = ["vgg-digits", "vgg16-cifar10"]
runtimes  = ["pytorch", "onnxruntime"]
precision = ["fp32", "bf16"]
batches   = [1, 8]
threads   = 1
"""
RECIPE = """
[[recipes]]
name      = "mine"
passes    = [{ use = "gone.py:Mine", ratio = 0.5 }]
workloads = ["vgg-digits"]
shipped   = { artifact = "ship/artifact", runtime = "openvino", precision = "bf16", batch = 4 }
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    """Return a suite's path, beside which an artifact was shipped."""
    built = tmp_path / "built"
    built.mkdir()
    manifest = Manifest("openvino", "cpu", "bf16", 4, (), ("y",), lossy=True, quantized=False)
    (built / MANIFEST).write_bytes(msgspec.json.encode(manifest))
    (built / "model.bin").write_bytes(b"weights")
    keep(tmp_path, "a1", built).rename(tmp_path / "artifact")
    (tmp_path / "ship").mkdir()
    (tmp_path / "artifact").rename(tmp_path / "ship" / "artifact")
    path = tmp_path / "suite.toml"
    path.write_text(HEAD + RECIPE)
    return path


def refusal(path: Path, old: str = "", new: str = "") -> str:
    """Return why the suite is refused, with `new` in the place of `old`."""
    path.write_text((HEAD + RECIPE).replace(old, new) if old else path.read_text())
    with pytest.raises(ConfigError) as caught:
        load_suite(path)
    return str(caught.value)


def test_it_is_one_cell_beside_those_of_the_other_recipes(suite: Path) -> None:
    read, found, _ = load_suite(suite)
    keys = [cell.key for cell in found]
    assert len(keys) == 2 * 2 * 2 * 2 + 1
    assert [one for one in keys if "/mine/" in one] == ["vgg-digits/mine/openvino/cpu/b4/bf16"]
    recipe = read.recipes[1]
    assert recipe.passes == (PassUse(f"{suite.parent}/gone.py:Mine", {"ratio": 0.5}),)
    folder = str(suite.parent / "ship" / "artifact")
    assert recipe.shipped == Shipped(folder, "openvino", "cpu", "bf16", 4)


def test_its_passes_are_neither_loaded_nor_planned(suite: Path) -> None:
    read = read_suite(suite)
    check(read)  # though there is no gone.py
    mine = cells(read)[-1:] if cells(read)[-1].recipe == "mine" else ()
    mine = mine or tuple(cell for cell in cells(read) if cell.recipe == "mine")
    (prepare,) = (job for job in plan(read, mine, {}).jobs if job.kind == "prepare")
    trained = RECIPE.replace("shipped ", "runtimes = ['pytorch']\n# ")
    suite.write_text(HEAD + trained.replace("ratio = 0.5", "finetune = { epochs = 9 }"))
    built = read_suite(suite)
    others = tuple(cell for cell in cells(built) if cell.recipe == "mine")[:1]
    (longer,) = (job for job in plan(built, others, {}).jobs if job.kind == "prepare")
    assert prepare.each_s < longer.each_s


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("ship/artifact", "gone", "recipes[0].shipped.artifact: there is no folder "),
        ('"openvino"', '"onnxruntime"', "runtime: is 'onnxruntime', and the artifact was built"),
        ('precision = "bf16"', 'precision = "fp32"', "precision: is 'fp32', and the artifact was"),
        ("batch = 4", "batch = 1", "batch: is 1, and the artifact was built for 4"),
        ("batch = 4", "batch = 0", "recipes[0].shipped.batch: Expected `integer` >= 1"),
        ('"openvino"', '"openwino"', "shipped.runtime: unknown runtime 'openwino'; did you mean"),
        ('"openvino"', '"open/vino"', "shipped.runtime: 'open/vino' cannot be a name"),
        ("runtime = ", "engine = ", "recipes[0].shipped.engine: unknown key"),
        ('workloads = ["vgg-digits"]', "", "one workload's, and this recipe is for vgg-digits, vg"),
        ("workloads = [", 'runtimes = ["pytorch"]\nworkloads = [', "recipes[0].runtimes: this is"),
        ("workloads = [", 'from = "fp32"\nworkloads = [', "recipes[0].from: this is for recipes"),
    ],
)
def test_what_does_not_fit_is_refused(suite: Path, old: str, new: str, words: str) -> None:
    changed = RECIPE.replace(old, new)
    assert changed != RECIPE
    suite.write_text(HEAD + changed)
    assert f"suite.toml: {words}" in refusal(suite) or words in refusal(suite)


def test_a_file_that_has_changed_is_named(suite: Path) -> None:
    weights = suite.parent / "ship" / "artifact" / "model.bin"
    weights.write_bytes(b"Weights")
    told = refusal(suite)
    assert told.startswith("suite.toml: recipes[0].shipped.artifact: ")
    assert f"{weights}: not as it was kept, its SHA-256 is another; copy the whole folder" in told
    weights.unlink()
    assert f"{weights}: not as it was kept (No such file or directory)" in refusal(suite)


def test_no_recipe_is_made_from_what_is_shipped(suite: Path) -> None:
    more = '[[recipes]]\nname = "more"\nfrom = "mine"\npasses = [{ use = "int8" }]\n'
    suite.write_text(HEAD + RECIPE + more)
    assert "recipes[1].from: 'mine' is shipped: there is no model from which" in refusal(suite)


def test_a_recipe_without_either_lacks_passes(suite: Path) -> None:
    suite.write_text(HEAD + '[[recipes]]\nname = "none"\n')
    assert refusal(suite) == "suite.toml: recipes[0]: missing key `passes`"


def test_a_suite_in_python_has_the_same_key(suite: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(suite.parent)
    shipped = {"artifact": "ship/artifact", "runtime": "openvino", "precision": "bf16", "batch": 4}
    recipe = Recipe("mine", workloads=["vgg-digits"], shipped=shipped)
    found, cells_, _ = load_suite(
        Suite(workloads=["vgg-digits"], runtimes=["pytorch"], recipes=[recipe], threads=1)
    )
    assert [cell.key for cell in cells_] == [
        "vgg-digits/fp32/pytorch/cpu/b1",
        "vgg-digits/mine/openvino/cpu/b4/bf16",
    ]
    assert found.recipes[1].passes == ()
