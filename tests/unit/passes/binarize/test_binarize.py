"""The binarizing pass as a whole: its fields, what it trains, how it is taken up again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfsuite.config.checking import make_pass
from perfsuite.domain.recipe import Edits, PassContext, PassUse, Target
from perfsuite.domain.task import UNTRAINED, TrainingSet
from perfsuite.errors import BuildError, ConfigError, Unsupported
from perfsuite.passes.binarize.binarize import Binarize
from perfsuite.testing import check_pass
from perfsuite.testing.samples import context, small_net, small_workload
from perfsuite.training.plan import AdamPlan

torch = pytest.importorskip("torch")

PLAN = AdamPlan(epochs=2, batch=16, peak_rate=0.01, weight_decay=0.0, bf16=False, teacher=0.9)
TINY = Binarize(PLAN, PLAN)


def given(folder: Path, **fields: Any) -> PassContext:
    made = context(small_workload(), Target("fake", "cpu"), folder)
    return dataclasses.replace(made, **fields)


def fitted(pass_: Binarize, folder: Path, **fields: Any) -> Edits:
    return pass_.fit(small_net(), given(folder, **fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"activations": {"epochs": 1}}, "activations: missing key `optimizer`"),
        ({"weights": {"optimizer": "adam", "epochs": 0}}, "epochs is 0; it must be at least 1"),
        ({"layers": "conv"}, "layers: Expected `array`"),
        ({"teacher": 0.5}, "teacher: unknown key"),
    ],
)
def test_wrong_fields_are_told_with_their_place(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_pass(PassUse("binarize", fields))
    assert message in str(caught.value)


def test_it_meets_the_contract_of_passes_trained_and_untrained() -> None:
    check_pass(TINY)
    check_pass(Binarize(untrained=True))


def test_edits_hold_bits_and_where_they_belong(tmp_path: Path) -> None:
    edits = fitted(Binarize(untrained=True), tmp_path)
    assert edits.data == {
        "layers": {"4": {"norm": None, "shortcut": [[1, 1], 1]}},
        "activations": {"5": 16},
        "left": {
            "0": "the first layer, which stays real",
            "7": "the last layer, which stays real",
        },
        "labels": [UNTRAINED],
    }
    bits = edits.tensors["4.conv.weight"]
    assert (bits.dtype, bits.shape) == (np.uint8, (16, 3, 3, 2))
    assert not any(array.ndim == 4 and array.shape[0] == 16 for name, array in
                   edits.tensors.items() if name not in ("0.weight", "4.conv.weight"))  # fmt: skip


def test_both_steps_are_trained_and_a_step_that_is_done_is_not_done_again(tmp_path: Path) -> None:
    done: list[tuple[int, int]] = []
    edits = fitted(TINY, tmp_path, progress=lambda *at: done.append(at))
    assert done[-1] == (16, 16)  # 2 steps of 2 epochs of 4 batches
    assert edits.data["labels"] == []
    again: list[tuple[int, int]] = []
    same = fitted(TINY, tmp_path, progress=lambda *at: again.append(at))
    assert again == []
    assert all(np.array_equal(edits.tensors[name], same.tensors[name]) for name in edits.tensors)
    untrained = fitted(Binarize(untrained=True), tmp_path)
    assert not np.array_equal(edits.tensors["4.conv.weight"], untrained.tensors["4.conv.weight"])


def test_the_teacher_is_the_net_before_all_passes(tmp_path: Path) -> None:
    asked: list[torch.nn.Module] = []

    def original() -> torch.nn.Module:
        asked.append(small_net())
        return asked[-1]

    fitted(TINY, tmp_path, original=original)
    assert len(asked) == 1


def test_without_training_samples_it_says_what_can_be_done_instead(tmp_path: Path) -> None:
    def none() -> TrainingSet:
        raise Unsupported("the task has no training samples")

    with pytest.raises(Unsupported, match=r"no training samples; .*untrained = true"):
        fitted(TINY, tmp_path, train=none)
    assert fitted(Binarize(untrained=True), tmp_path, train=none).tensors


def test_a_training_that_diverges_is_an_error_and_the_first_step_is_kept(tmp_path: Path) -> None:
    wild = AdamPlan(epochs=3, batch=16, peak_rate=1e30, bf16=False, longest_gradient=1e30)
    with pytest.raises(BuildError, match="diverged; lower the learning rate"):
        fitted(Binarize(PLAN, wild), tmp_path)
    assert [path.name.rpartition(".activations")[2] for path in tmp_path.glob("*activations*")]


def test_a_checkpoint_of_another_plan_is_refused(tmp_path: Path) -> None:
    fitted(TINY, tmp_path)
    other = AdamPlan(epochs=3, batch=16, peak_rate=0.01, bf16=False)
    with pytest.raises(ConfigError, match="another plan"):
        fitted(Binarize(other, PLAN), tmp_path)


def test_the_second_step_goes_on_without_the_first_ones_checkpoint(tmp_path: Path) -> None:
    whole = fitted(TINY, tmp_path)
    (first,) = tmp_path.rglob("*.activations.pt")
    first.unlink()
    again = fitted(TINY, tmp_path)
    assert not first.exists(), "nothing was trained"
    assert whole.tensors.keys() == again.tensors.keys()
    for name, value in whole.tensors.items():
        np.testing.assert_array_equal(again.tensors[name], value, err_msg=name)


def test_a_module_whose_code_reads_the_layer_is_refused(tmp_path: Path) -> None:
    class Reads(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = small_net()

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return self.net(values) + self.net[4].weight.sum()

    with pytest.raises(Unsupported, match="with binary convolutions the model fails"):
        Binarize(untrained=True).fit(Reads().eval(), given(tmp_path))
