"""Captions: BLEU by hand, where words look, what is learnt from them, their export."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_items import plain_items  # noqa: F401  (a fixture)

from perfsuite.data import scenes
from perfsuite.data.scenes import SceneItem
from perfsuite.domain.task import SEMI_SYNTHETIC
from perfsuite.domain.workload import Workload
from perfsuite.training.loop import AdamPlan, TrainingProgress, train
from perfsuite.workloads.tasks.bleu import bleu, counts
from perfsuite.workloads.zoo import captions
from perfsuite.workloads.zoo.captions import NOTHING, STEPS, WORDS

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def composed(plain_items: None) -> Iterator[None]:  # noqa: F811
    torch.manual_seed(0)
    yield


@pytest.fixture
def small() -> Workload:
    """Return the workload with few scenes."""
    whole = captions.show_attend_tell()
    return replace(whole, task=replace(whole.task, training=16, test=12))


# -- BLEU -------------------------------------------------------------------------------------


def counted(said: str, wanted: str) -> np.ndarray:
    return counts(said.split(), wanted.split())


def test_a_word_counts_as_often_as_the_reference_has_it() -> None:
    # Example 2 of Papineni et al.: the modified unigram precision is 2/7.
    row = counted("the the the the the the the", "the cat is on the mat")
    assert row.tolist() == [2, 0, 0, 0, 7, 6, 5, 4, 7, 6]
    assert bleu(row[None]) == 0.0


def test_bleu_by_hand() -> None:
    one = counted("a b c d e", "a b c d f")
    assert one.tolist() == [4, 3, 2, 1, 5, 4, 3, 2, 5, 5]
    assert bleu(one[None]) == pytest.approx((4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)
    short = counted("a b c d", "a b c d e")
    assert bleu(short[None]) == pytest.approx(math.exp(1 - 5 / 4))
    both = np.stack([one, short])
    expected = (8 / 9 * 6 / 7 * 4 / 5 * 2 / 3) ** 0.25 * math.exp(1 - 10 / 9)
    assert bleu(both) == pytest.approx(expected)


def test_more_words_than_the_reference_cost_precision_alone() -> None:
    row = counted("a b c d e", "a b c d")
    assert bleu(row[None]) == pytest.approx((4 / 5 * 3 / 4 * 2 / 3 * 1 / 2) ** 0.25)


def test_a_silent_net_scores_nothing() -> None:
    assert bleu(counts([], ["a"])[None]) == 0.0


@given(st.lists(st.lists(st.sampled_from("abc"), min_size=4, max_size=9), min_size=1, max_size=5))
def test_the_references_themselves_are_perfect(sentences: list[list[str]]) -> None:
    rows = np.stack([counts(words, words) for words in sentences])
    assert bleu(rows) == pytest.approx(1.0)


# -- where words look --------------------------------------------------------------------------


def item(label: str, x: float, y: float, size: float = 16.0) -> SceneItem:
    return SceneItem(0, scenes.NAMES.index(label), (x, y), size, 0.0, False)


def looking(*regions: tuple[int, int]) -> np.ndarray:
    """Return attention that peaks in these (row, column) regions, word by word."""
    attention = np.full((STEPS, 81), 0.01)
    for step, (row, column) in enumerate(regions):
        attention[step, 9 * row + column] = 0.9
    return attention


def test_a_look_counts_for_words_that_name_what_is_there() -> None:
    there = (item("dog", 20, 20), item("cat", 60, 60))  # boxes 12 to 28 and 52 to 68
    said = ["a", "dog", "above", "a", "cat"]
    # Region (2, 2) has its middle at 20, 20; (7, 7) at 60, 60; (0, 0) at 4, 4.
    assert captions.looks(said, looking((0, 0), (2, 2), (0, 0), (0, 0), (7, 7)), there) == (2, 2)
    assert captions.looks(said, looking((0, 0), (7, 7), (0, 0), (0, 0), (7, 7)), there) == (1, 2)
    # A row is not a column.
    assert captions.looks(["dog"], looking((2, 1)), (item("dog", 12, 20),)) == (1, 1)
    assert captions.looks(["dog"], looking((1, 2)), (item("dog", 12, 20, 10),)) == (0, 1)
    # No horse is there: there is no box to look into.
    assert captions.looks(["horse"], looking((2, 2)), there) == (0, 0)


def test_words_end_where_the_net_says_so() -> None:
    scores = np.zeros((STEPS, len(WORDS)))
    for step, word in enumerate(["a", "small", "ship", "<end>", "dog"]):
        scores[step, WORDS.index(word)] = 1
    assert captions.spoken(scores) == ["a", "small", "ship"]
    scores[:, WORDS.index("a")] = 2
    assert captions.spoken(scores) == ["a"] * STEPS


def test_attention_is_drawn_light_where_it_peaks() -> None:
    pytest.importorskip("PIL")
    image = np.full((72, 72, 3), 200, np.uint8)
    drawn = captions.drawn_attention(image, ["a", "dog"], looking((0, 0), (4, 4)))
    assert drawn.shape == (216 + 24, 2 * 216, 3)
    assert drawn[108, 216 + 108, 0] > 150  # the middle of the second picture
    assert drawn[108, 108, 0] < 60
    assert drawn[216:, :].min() < 50  # the words
    assert captions.drawn_attention(image, [], looking()).shape == (240, 216, 3)


# -- the task ----------------------------------------------------------------------------------


def test_targets_are_the_words_an_end_and_the_boxes_they_are_about(small: Workload) -> None:
    targets = small.task.train().targets
    for index, target in enumerate(targets):
        items = scenes.pair("train", index)
        words = scenes.caption(items)
        assert [WORDS[int(word)] for word in target[: len(words), 0]] == [w.text for w in words]
        assert target[len(words), 0] == captions.END
        assert np.all(target[len(words) + 1 :, 0] == NOTHING)
        assert target[2, 1:] == pytest.approx(items[0].box())
        assert np.all(target[0, 1:] == 0)


def answers(index: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the true caption of a test scene, each word looking at what it names."""
    items = scenes.pair("test", index)
    scores, attention = np.zeros((STEPS, len(WORDS))), np.zeros((STEPS, 81))
    scores[:, 0] = 0.5
    for step, word in enumerate(scenes.caption(items)):
        scores[step, WORDS.index(word.text)] = 1
        if word.item is not None:
            x, y = items[word.item].middle
            attention[step, 9 * int(y // 8) + int(x // 8)] = 1
    return scores, attention


def test_true_captions_are_perfect_by_both_metrics(small: Workload) -> None:
    def predict(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [np.stack(part) for part in zip(*map(answers, range(12)), strict=True)]

    def silence(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
        return [np.zeros((12, STEPS, len(WORDS))), np.zeros((12, 10, 81))]

    metrics, rows = small.task.metrics(), small.task.rows(predict)
    assert {name: metric(rows) for name, metric in metrics.items()} == {
        "bleu4": pytest.approx(1.0),
        "attention_in_box": 1.0,
    }
    assert next(iter(metrics)) == "bleu4"  # the main one
    silent = small.task.rows(silence)
    assert [metric(silent) for metric in metrics.values()] == [0.0, 0.0]
    assert small.task.labels == (SEMI_SYNTHETIC,)


# -- the net -----------------------------------------------------------------------------------


def test_attention_weighs_all_regions_and_each_word_follows_from_the_last() -> None:
    module = captions.net().eval()
    images = torch.randn(2, 3, 72, 72)
    with torch.no_grad():
        scores, weights = module(images)
        assert scores.shape == (2, STEPS, len(WORDS))
        assert weights.shape == (2, STEPS, 81)
        assert torch.allclose(weights.sum(2), torch.ones(2, STEPS))
        # Told its own words, it says the same; told others, it goes on otherwise.
        again, _ = module.told(images, scores.argmax(2))
        assert torch.allclose(again, scores, atol=1e-5)
        other, _ = module.told(images, (scores.argmax(2) + 1) % len(WORDS))
        assert torch.allclose(other[:, 0], scores[:, 0])
        assert not torch.allclose(other[:, 1], scores[:, 1], atol=1e-4)


def test_the_attention_that_is_taught_is_the_share_inside_the_box() -> None:
    words = torch.full((1, STEPS, 5), float(NOTHING))
    words[..., 1:] = 0
    words[0, 0, 0] = 2
    words[0, 0, 1:] = torch.tensor([8.0, 0.0, 24.0, 8.0])  # regions (0, 1) and (0, 2)

    class Looks(torch.nn.Module):
        def told(self, images: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, ...]:
            attention = torch.full((1, STEPS, 81), 0.7 / 79)
            attention[..., 1], attention[..., 2] = 0.1, 0.2
            return torch.zeros(1, STEPS, len(WORDS)), attention

    loss = captions.caption_loss(Looks(), torch.zeros(1, 3, 72, 72), words)
    assert loss.item() == pytest.approx(math.log(len(WORDS)) - 0.3 * math.log(0.3), rel=1e-5)


def test_training_makes_the_loss_smaller(small: Workload) -> None:
    seen: list[TrainingProgress] = []
    plan = AdamPlan(epochs=5, batch=8, peak_rate=2e-3, bf16=False)
    train(captions.net(), small.task.train(), plan, report=seen.append)
    assert seen[-1].loss < 0.9 * seen[0].loss


@pytest.mark.verify  # it takes as long as all others here
def test_it_exports_and_engines_agree(small: Workload, tmp_path: Path) -> None:
    from engine_parity import check_engines

    check_engines(small, captions.net().eval(), tmp_path, "dynamo")


def test_any_picture_becomes_a_scene() -> None:
    task = captions.show_attend_tell().task
    picture = np.zeros((40, 80, 3), np.uint8)
    picture[:, 18:62] = 255  # its middle, and what is blended at its edges
    images = task.from_picture(picture)["images"]
    assert images.shape == task.inputs(1, 0)["images"].shape and images.dtype == np.float32
    assert np.ptp(images[0, 0]) == 0
