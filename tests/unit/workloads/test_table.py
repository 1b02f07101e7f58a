"""Weights that are checked against their cards, rows, and what users' functions raise."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from perfsuite.errors import ConfigError, Unavailable
from perfsuite.workloads.table import MERGED, WORKLOADS, load_workload
from perfsuite.workloads.tasks.classification import top1_rows
from perfsuite.workloads.zoo import digits, train, weights

SHIPPED = sorted(weights.FOLDER.glob("*.safetensors"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_every_shipped_file_of_weights_has_a_card_with_its_hash(path: Path) -> None:
    card = path.with_suffix(".md")
    assert card.is_file()
    assert weights.card_line(path) in card.read_text().splitlines()


@pytest.fixture
def shipped(tmp_path: Path) -> Path:
    """Return a copy of vgg-digits' weights, its card beside it."""
    for suffix in (".safetensors", ".md"):
        shutil.copy(weights.FOLDER / f"vgg-digits{suffix}", tmp_path)
    return tmp_path / "vgg-digits.safetensors"


def test_the_hash_is_that_of_the_content(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")  # the first example of FIPS 180-2
    assert weights.card_line(tmp_path / "abc") == (
        "| SHA-256 | `ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad` |"
    )


def test_a_flipped_byte_of_the_weights_is_told(shipped: Path) -> None:
    pytest.importorskip("torch")
    weights.load(digits.net(), shipped)
    data = bytearray(shipped.read_bytes())
    data[-1] ^= 1
    shipped.write_bytes(data)
    with pytest.raises(ConfigError, match=r"vgg-digits\.safetensors: damaged weights: restore"):
        weights.load(digits.net(), shipped)
    shipped.write_bytes(data[:1000])
    with pytest.raises(ConfigError, match="damaged weights: restore the file"):
        weights.load(digits.net(), shipped)


def test_weights_that_no_card_vouches_for_are_refused(shipped: Path) -> None:
    pytest.importorskip("torch")
    card = shipped.with_suffix(".md")
    card.write_text(card.read_text().replace("SHA-256", "size"))
    with pytest.raises(ConfigError, match=r"vgg-digits\.md beside it.*restore the card"):
        weights.load(digits.net(), shipped)
    card.unlink()
    with pytest.raises(ConfigError, match=r"vgg-digits\.md beside it.*restore the card"):
        weights.load(digits.net(), shipped)


@pytest.mark.parametrize("cut_short", [False, True])
def test_training_vouches_for_what_it_writes_before_it_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cut_short: bool
) -> None:
    pytest.importorskip("torch")
    monkeypatch.setattr(weights, "FOLDER", tmp_path)
    monkeypatch.setattr(train, "train", lambda *args, **options: None)  # an untrained net will do
    if cut_short:
        monkeypatch.setattr(weights, "load", lambda *args: sys.exit(9))
    result = CliRunner().invoke(train.main, ["vgg-digits", "--checkpoints", str(tmp_path)])
    assert result.exit_code == (9 if cut_short else 0), result.output
    card = (tmp_path / "vgg-digits.md").read_text().splitlines()
    assert weights.card_line(tmp_path / "vgg-digits.safetensors") in card
    score = next(line for line in card if line.startswith("| top1"))
    assert score.endswith("| not measured yet |" if cut_short else "% of 500 test pictures |")


@pytest.mark.parametrize("name", MERGED)
def test_what_was_a_workload_is_a_metric_of_another(name: str) -> None:
    workload, metric = MERGED[name]
    assert metric in WORKLOADS[workload]().task.metrics()
    with pytest.raises(ConfigError, match=f"name '{workload}', whose metric '{metric}' it was"):
        load_workload(name)


@pytest.mark.parametrize("name", sorted(WORKLOADS))
def test_a_card_states_each_metric_of_its_workload(name: str) -> None:
    card = weights.FOLDER / f"{name}.md"
    if not card.is_file():
        pytest.skip("its weights do not come with perfsuite")
    said = re.findall(r"^\| (\w+)[^|]*, measured on these weights", card.read_text(), re.MULTILINE)
    assert said == list(WORKLOADS[name]().task.metrics())


def test_rows_are_right_answer_and_label() -> None:
    scores = np.array([[0.1, 0.9, 0.0], [5.0, 4.0, 3.0]], np.float32)
    assert top1_rows([scores], np.array([1, 2], np.uint8)).tolist() == [[1, 1, 1], [0, 0, 2]]


@pytest.mark.parametrize("shape", [(), (2,), (3, 2), (2, 3, 1, 1), (1, 3)])
def test_an_output_that_is_not_one_row_a_sample_is_told(shape: tuple[int, ...]) -> None:
    with pytest.raises(ConfigError) as caught:
        top1_rows([np.zeros(shape)], np.array([0, 1]))
    assert f"first output has the shape {shape} for 2 samples" in str(caught.value)
    assert "(2, classes)" in str(caught.value)


def test_a_label_that_is_no_class_is_told() -> None:
    with pytest.raises(ConfigError, match=r"a label 3, but .* has 3 classes: .* from 0 to 2"):
        top1_rows([np.zeros((2, 3))], np.array([0, 3]))


def test_classification_asks_for_rows_of_scores() -> None:
    task = digits.vgg_digits().task
    with pytest.raises(ConfigError, match=r"shape \(10, 100\) for 100 samples"):
        task.rows(lambda inputs: [np.zeros((10, len(inputs["images"])))])


FACTORIES = """
def raises():
    raise ValueError("no luck")
def needs(size): ...
def exits():
    raises_ = exit(3)
def number(): return 3
def lacks():
    from perfsuite.errors import Unavailable
    raise Unavailable("torchvision is not installed")
"""


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("raises", "failed in line 3 of {file} with ValueError: no luck"),
        ("needs", "failed with TypeError: needs() missing 1 required positional argument: 'size'"),
        ("exits", "failed in line 6 of {file} with SystemExit: 3"),
    ],
)
def test_what_a_function_raises_is_told_with_its_line(
    tmp_path: Path, name: str, words: str
) -> None:
    file = tmp_path / "m.py"
    file.write_text(FACTORIES)
    with pytest.raises(ConfigError) as caught:
        load_workload(f"{file}:{name}")
    words = words.format(file=file)
    assert str(caught.value) == f"workload '{file}:{name}': calling {name}() {words}"


def test_perfsuites_own_errors_pass_and_other_things_are_refused(tmp_path: Path) -> None:
    (tmp_path / "m.py").write_text(FACTORIES)
    with pytest.raises(Unavailable, match=r"^torchvision is not installed$"):
        load_workload(f"{tmp_path}/m.py:lacks")
    with pytest.raises(ConfigError, match=r"a perfsuite\.Workload was expected, not int"):
        load_workload(f"{tmp_path}/m.py:number")
