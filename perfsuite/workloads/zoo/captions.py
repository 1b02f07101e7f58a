"""Captions of composed scenes, and the attention of the net at each word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.data import scenes
from perfsuite.data.scenes import SceneItem
from perfsuite.domain.model import Model, Stage
from perfsuite.domain.pictures import Look, Said
from perfsuite.domain.task import Outputs, RowsMetric, TrainingSet
from perfsuite.domain.workload import Workload
from perfsuite.models.captions import REGIONS, SIDE, STEPS
from perfsuite.training.loop import AdamPlan
from perfsuite.workloads.tasks.bleu import COLUMNS, bleu, counts
from perfsuite.workloads.tasks.scenes import SceneTask
from perfsuite.workloads.zoo import weights

if TYPE_CHECKING:
    from torch import Tensor, nn

END, NOTHING = 0, -1  # the word that ends a caption, and the targets after it
WORDS = (
    "<end>", "a", "small", "large", "left", "right", "of", "above", "below", *scenes.NAMES,
)  # fmt: skip
CELL = SIDE // REGIONS  # side of a region, in pixels

PLAN = AdamPlan(epochs=7, batch=64, peak_rate=1e-3, weight_decay=0.05, bf16=False)


@dataclass(frozen=True)
class Captions(SceneTask):
    """Captions of scenes. A row holds the counts of BLEU, then those of attention."""

    def items(self, split: str, index: int) -> tuple[SceneItem, ...]:
        """Return the items in scene `index` of `split`."""
        return scenes.pair(split, index)

    def train(self) -> TrainingSet:
        """Return the training scenes; a target (STEPS, 5) is words and the boxes they name."""
        targets = np.zeros((self.training, STEPS, 5), np.float32)
        targets[..., 0] = NOTHING
        for index, target in enumerate(targets):
            items = self.items("train", index)
            words, boxes = scenes.caption(items), scenes.boxes_of(items)
            for step, word in enumerate(words):
                target[step, 0] = WORDS.index(word.text)
                if word.item is not None:
                    target[step, 1:] = boxes[word.item]
            target[len(words), 0] = END
        return TrainingSet(np.arange(self.training), targets, self.lit, caption_loss)

    def row(self, outputs: Outputs, place: int, items: tuple[SceneItem, ...]) -> np.ndarray:
        """Return the counts of BLEU, then the two numbers of `looks`."""
        said = spoken(outputs[0][place])
        wanted = [word.text for word in scenes.caption(items)]
        return np.append(counts(said, wanted), looks(said, outputs[1][place], items))

    def said(self, outputs: Outputs, place: int, items: tuple[SceneItem, ...]) -> tuple[Said, Said]:
        """Return the true caption and the one that is said, with where each word was looked for."""
        said = spoken(outputs[0][place])
        attention = np.asarray(outputs[1][place], np.float64)[: len(said)]
        most = attention.max(axis=1, keepdims=True, initial=0.0)
        shares = np.divide(255 * attention, most, out=np.zeros_like(attention), where=most > 0)
        looked = np.round(np.clip(shares, 0, 255)).astype(int).tolist()
        found = tuple(
            Look(word, tuple(weights), REGIONS) for word, weights in zip(said, looked, strict=True)
        )
        wanted = " ".join(word.text for word in scenes.caption(items))
        return Said(wanted), Said(" ".join(said), looks=found)

    def metrics(self) -> Mapping[str, RowsMetric]:
        """Return BLEU-4 of the captions, and where the net looks when it names an item."""
        return {"bleu4": bleu4, "attention_in_box": attention_in_box}


def bleu4(rows: np.ndarray) -> float:
    """Return BLEU-4 of the captions."""
    return bleu(rows[:, :COLUMNS])


def attention_in_box(rows: np.ndarray) -> float:
    """Return the share of naming words at which attention peaks in a box of what they name.

    Words that name what is not in the scene have no box, and are left out; 0 without words.
    """
    hits, named = rows[:, COLUMNS:].sum(axis=0)
    return float(hits / named) if named else 0.0


def spoken(scores: np.ndarray) -> list[str]:
    """Return the words with the best scores (STEPS, words), up to the end of the caption."""
    best = scores.argmax(1).tolist()
    return [WORDS[word] for word in best[: best.index(END) if END in best else STEPS]]


def looks(said: list[str], attention: np.ndarray, items: tuple[SceneItem, ...]) -> tuple[int, int]:
    """Return how many naming words have their attention in a box of what they name, and how many
    naming words there are.

    `attention` is (STEPS, regions); it is at the centre of the region with the greatest weight.
    """
    hits = named = 0
    for step, word in enumerate(said):
        boxes = [item.box() for item in items if scenes.NAMES[item.label] == word]
        row, column = divmod(int(attention[step].argmax()), REGIONS)
        x, y = (column + 0.5) * CELL, (row + 0.5) * CELL
        named += bool(boxes)
        hits += any(left <= x <= right and top <= y <= bottom for left, top, right, bottom in boxes)
    return hits, named


def caption_loss(module: Any, images: Tensor, targets: Tensor) -> Tensor:
    """Return the loss of captions: the cross-entropy of each word, given the true words before it,
    plus a term for attention.

    For words that name an item, that is the negative logarithm of the attention's weight in the
    item's box (Liu et al. 2017, arXiv:1605.09553).
    """
    import torch
    from torch.nn import functional

    words, boxes = targets[..., 0].long(), targets[..., 1:]
    scores, attention = module.told(images, words.clamp(min=END))
    loss = functional.cross_entropy(
        scores.float().flatten(0, 1), words.flatten(), ignore_index=NOTHING, label_smoothing=0.05
    )
    at = (torch.arange(REGIONS, device=images.device) + 0.5) * CELL
    inside_x = (at >= boxes[..., 0:1]) & (at <= boxes[..., 2:3])
    inside_y = (at >= boxes[..., 1:2]) & (at <= boxes[..., 3:4])
    inside = (inside_y[..., :, None] & inside_x[..., None, :]).flatten(2)
    about = boxes[..., 2] > 0
    within = (attention.float() * inside).sum(2).clamp(min=1e-6)
    strays: Tensor = -within.log()[about].mean()
    return loss + 0.3 * strays


def drawn_attention(image: np.ndarray, said: list[str], attention: np.ndarray) -> np.ndarray:
    """Return a uint8 picture for each word, side by side: bright at its attention, the word below.

    `image` is uint8 (SIDE, SIDE, 3), `attention` (STEPS, regions); both are drawn three times as
    large.
    """
    from PIL import Image, ImageDraw

    size, strip = 3 * SIDE, 24
    canvas = Image.new("RGB", (size * max(1, len(said)), size + strip), "white")
    draw = ImageDraw.Draw(canvas)
    for step, word in enumerate(said):
        weights = attention[step].reshape(REGIONS, REGIONS)
        shares = Image.fromarray((255 * weights / weights.max()).astype(np.uint8))
        light = np.asarray(shares.resize((SIDE, SIDE), Image.Resampling.BICUBIC)) / 255
        lit = image * (0.2 + 0.8 * light[..., None])
        shown = Image.fromarray(lit.astype(np.uint8)).resize((size, size))
        canvas.paste(shown, (size * step, 0))
        draw.text((size * step + 8, size + 6), word, fill="black")
    return np.asarray(canvas)


def net() -> nn.Module:
    """Return the net without its weights."""
    from perfsuite.models import captions

    return captions.show_attend_tell(len(WORDS))


def show_attend_tell() -> Workload:
    """Return `show-attend-tell`, judged by its captions and by where it looks for each word."""

    def build() -> nn.Module:
        return weights.load(net(), weights.FOLDER / "show-attend-tell.safetensors")

    stages = tuple(Stage(name, (name,)) for name in ("encoder", "attention", "decoder"))
    task = Captions(scenes.PAIR, training=15000, test=1000)
    return Workload("show-attend-tell", Model(build, stages=stages), task)
