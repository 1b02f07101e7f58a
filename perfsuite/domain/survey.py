"""What a search must know of a workload before it begins."""

from __future__ import annotations

import msgspec


class Survey(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a workload has that a search can use, and how long a training of it takes.

    `metric` is the main one of its task, '' without labelled samples. `without` maps `validation`
    and `training` to the reason why the task has no such samples; `training_samples` are those that
    are not held out for validation. `trained` tells of a recipe that its training is in the cache
    already; `training_s` is how long one takes. `boxes` is how many a detector chooses from before
    non-maximum suppression; 0 of any other net.
    """

    is_file: bool = False  # an ONNX file, which no model pass can change
    metric: str = ""
    without: dict[str, str] = {}
    training_samples: int = 0
    own_loss: bool = False  # the task has a loss of its own
    taught: bool = False  # and one for a student with a teacher
    boxes: int = 0
    trained: bool = False
    training_s: float | None = None
