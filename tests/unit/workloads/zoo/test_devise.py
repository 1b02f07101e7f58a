"""Words and pictures in one space: the table, ranks by hand, what unseen labels take no part in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from perfsuite.data import cifar10, scenes, words
from perfsuite.data.samples import Samples
from perfsuite.domain.task import members
from perfsuite.errors import ConfigError, SchemaError
from perfsuite.training.loop import SgdPlan, TrainingProgress, train
from perfsuite.workloads.zoo import devise

torch = pytest.importorskip("torch")


def load(split: str) -> Samples:
    """Return 40 pictures, four of each label, each label of its own shade."""
    labels = np.tile(np.arange(10, dtype=np.uint8), 4)
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 20, (40, 32, 32, 3), np.uint8)
    return Samples(noise + (labels * 20)[:, None, None, None], labels)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(cifar10, "load", load)
    devise._load.cache_clear()
    torch.manual_seed(0)
    yield
    devise._load.cache_clear()


# -- the table ---------------------------------------------------------------------------------


def test_labels_come_first_and_each_word_once() -> None:
    names, vectors = words.load()
    assert names[:10] == scenes.NAMES
    assert len(names) == len(set(names)) == 106
    assert vectors.shape == (106, 100)
    # The first numbers of "the" GloVe of 6 billion tokens.
    assert vectors[0, :2] == pytest.approx([-0.16905, 0.27387])


def test_directions_have_no_common_part_and_relatives_are_near() -> None:
    directions = words.directions()
    assert np.allclose((directions**2).sum(1), 1, atol=1e-5)
    similar = directions @ directions.T
    assert abs(similar.mean()) < 0.05  # of the vectors as published it is 0.3
    names = words.load().names
    cat, dog, truck = (names.index(name) for name in ("cat", "dog", "truck"))
    assert similar[cat].argsort()[-2] == dog  # but for itself
    assert similar[cat, dog] > similar[cat, truck] + 0.3


def test_a_damaged_table_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = tmp_path / "words.tsv"
    damaged.write_bytes(words.TABLE.read_bytes().replace(b"0.27387", b"0.27388", 1))
    monkeypatch.setattr(words, "TABLE", damaged)
    words.load.cache_clear()
    with pytest.raises(SchemaError, match=r"words\.tsv: is damaged: restore the file"):
        words.load()
    words.load.cache_clear()


def test_the_provenance_states_the_tables_hash() -> None:
    assert f"`{words.DIGEST}`" in words.TABLE.with_suffix(".md").read_text()


# -- ranks -------------------------------------------------------------------------------------


def test_ranks_by_hand() -> None:
    similar = np.zeros((3, 106), np.float32)
    similar[0, [0, 5, 50]] = 0.9, 0.8, 0.7
    similar[1, [0, 5, 50]] = 0.9, 0.8, 0.7
    similar[2, [3, 5]] = 0.5, 0.8
    labels = np.array([0, 5, 3], np.uint8)
    assert devise.ranked([similar], labels, ()).tolist() == [[0, 0, 0], [1, 0, 5], [1, 5, 3]]
    # Without the words of seen labels the cat is the first.
    assert devise.ranked([similar], labels, devise.SEEN)[2].tolist() == [0, 3, 3]
    with pytest.raises(ConfigError, match=r"shape \(3, 10\).*3 pictures with each of 106 words"):
        devise.ranked([similar[:, :10]], labels, ())


def test_the_three_metrics_count_what_they_say() -> None:
    # Words before the right one, the answer, the label, whether it is a seen or an unseen one.
    rows = np.array([[0, 0, 0], [4, 0, 1], [5, 0, 2], [0, 4, 4], [0, 3, 3], [1, 3, 9]], np.float64)
    seen = np.array([1, 1, 1, 1, 0, 0])
    rows = np.column_stack([rows, seen, 1 - seen])
    metrics = devise.devise().task.metrics()
    assert {name: metric(rows) for name, metric in metrics.items()} == {
        "hit1": 0.5,
        "hit5": 0.75,
        "zero_shot_hit1": 0.5,
    }
    assert next(iter(metrics)) == "hit1"  # the main one
    assert [len(members(metric, rows)) for metric in metrics.values()] == [4, 4, 2]


def test_words_of_seen_labels_are_no_answer_to_pictures_of_unseen_ones() -> None:
    def predict(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        similar = np.zeros((len(inputs["images"]), 106))
        similar[:, 5], similar[:, 3] = 0.9, 0.8  # a dog, if not a cat
        return [similar]

    task = devise.devise().task
    rows = task.rows(predict)
    # Four of each label: 32 of the eight, 8 of the two; dogs and cats are a quarter and a half.
    assert (rows[:, devise.IS_SEEN].sum(), rows[:, devise.IS_UNSEEN].sum()) == (32, 8)
    cats, dogs = (rows[rows[:, devise.LABEL] == label] for label in (3, 5))
    assert cats[:, [devise.BEFORE, devise.ANSWER]].tolist() == [[0, 3]] * 4
    assert dogs[:, [devise.BEFORE, devise.ANSWER]].tolist() == [[0, 5]] * 4
    assert {name: metric(rows) for name, metric in task.metrics().items()} == {
        "hit1": 4 / 32,
        "hit5": 1.0,  # the others are equal: none comes before
        "zero_shot_hit1": 4 / 8,
    }


# -- learning ----------------------------------------------------------------------------------


def test_unseen_labels_are_in_no_training_picture_and_their_words_take_no_part() -> None:
    data = devise.devise().task.train()
    assert set(data.targets) == set(devise.SEEN)
    assert set(devise._load("calibration").labels) == set(devise.SEEN)
    assert set(devise._load("test").labels) == set(range(10))

    class Given(torch.nn.Module):
        def __init__(self, similar: torch.Tensor) -> None:
            super().__init__()
            self.similar = torch.nn.Parameter(similar)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.similar

    module = Given(torch.rand(4, 106))
    labels = torch.tensor([0, 1, 4, 8])
    devise.naming_loss(module, torch.zeros(4, 3, 32, 32), labels).backward()
    touched = module.similar.grad.abs().sum(0).nonzero().flatten().tolist()
    assert touched == list(devise.SEEN)


def test_the_loss_by_hand() -> None:
    similar = torch.zeros(1, 106)
    similar[0, 8] = 0.1

    def answer(images: torch.Tensor) -> torch.Tensor:
        return similar

    loss = devise.naming_loss(answer, torch.zeros(1), torch.tensor([8], dtype=torch.uint8))
    # The right one of eight is ahead by 0.1 / 0.05; the cosine lacks 0.9.
    expected = -np.log(np.exp(2) / (np.exp(2) + 7)) + 0.9
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_training_makes_the_loss_smaller() -> None:
    seen: list[TrainingProgress] = []
    plan = SgdPlan(epochs=6, batch=16, peak_rate=0.02, bf16=False, sizes=((0, 16), (3, 32)))
    module = devise.net()
    train(module, devise.devise().task.train(), plan, report=seen.append)
    assert seen[-1].loss < 0.8 * seen[0].loss
    with torch.no_grad():
        similar = module(torch.zeros(2, 3, 32, 32))
    assert similar.shape == (2, 106)
    assert similar.abs().max() <= 1.0001


def test_it_exports_and_engines_agree(tmp_path: Path) -> None:
    from engine_parity import check_engines

    check_engines(devise.devise(), devise.net().eval(), tmp_path, "dynamo")
