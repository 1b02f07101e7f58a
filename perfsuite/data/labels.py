"""Whether labels are the numbers of a model's classes: told before anything is done with them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

LEFT_OUT = 255  # what has no class is often marked by it, as in PASCAL VOC's masks
_NUMBERS = "biuf"  # NumPy's kinds of types


def misfit(labels: np.ndarray, scores: Sequence[int]) -> str:
    """Return why labels do not fit scores of the shape (samples, classes, ...), and what to do.

    It is '' if they do: whole numbers from 0 to classes - 1, one for each sample or each place.
    """
    if not labels.size or len(scores) < 2:
        return ""
    if scores[1] == 1:
        return (
            "the model gives one number a sample, and so there is one class: give it a score for "
            "each of two, as torch.cat([-x, x], dim=1) does of a logit, or write a task with a "
            "loss and a metric of its own"
        )
    if labels.dtype.kind not in _NUMBERS:
        return f"labels are {labels.dtype}, and classes are numbered from 0"
    if labels.ndim != len(scores) - 1:
        return _wrong_shape(labels, scores)
    if labels.dtype.kind == "f" and (labels != np.floor(labels)).any():
        return (
            f"labels such as {_first(labels, labels != np.floor(labels)):g} are no classes, which "
            f"are whole numbers from 0: a task of values or probabilities needs a loss and a "
            f"metric of its own"
        )
    return _outside(labels, scores[1])


def _wrong_shape(labels: np.ndarray, scores: Sequence[int]) -> str:
    advice = f"there is to be one for each sample: {('samples', *scores[2:])}".replace("'", "")
    if labels.ndim == len(scores) == 2:
        one_hot = labels.shape[1] > 1
        advice = f"take labels{'.argmax(axis=1), if they are one-hot' if one_hot else '[:, 0]'}"
    return f"labels have the shape {labels.shape}; {advice}"


def _outside(labels: np.ndarray, classes: int) -> str:
    low, high = labels.min(), labels.max()
    if low >= 0 and high < classes:
        return ""
    known = labels[(labels >= 0) & (labels < classes)]
    if high == LEFT_OUT and classes <= LEFT_OUT and (labels[labels >= classes] == high).all():
        what = "pictures" if labels.ndim == 1 else "places"
        advice = f"{LEFT_OUT} often marks {what} that have none: leave these out"
        if labels.ndim > 1:
            advice += ", by a loss of its own that ignores them"
    elif low == 1 and high == classes:
        advice = "they seem to be counted from 1: subtract 1"
    elif low < 0 and len(known):
        advice = "leave out what has none"
    else:
        advice = "number the classes anew, or give the model as many as there are"
    wrong = low if low < 0 else high
    return (
        f"there is a label {wrong:g}, but the model's first output has {classes} classes: labels "
        f"run from 0 to {classes - 1}; {advice}"
    )


def _first(labels: np.ndarray, where: np.ndarray) -> float:
    return float(labels[where].flat[0])
