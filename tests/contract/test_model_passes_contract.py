"""Every model pass of the table meets its contract on every workload that it claims to support."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from small_passes import MODEL_PASSES, small_pass

from perfsuite.data import scenes
from perfsuite.data.cifar10 import Samples
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError, Unavailable, Unsupported
from perfsuite.testing import check_pass
from perfsuite.workloads.table import WORKLOADS, load_workload
from perfsuite.workloads.tasks.classification import Classification

# A call takes seconds, and there are many of them in a fit.
LONG = {"faster-rcnn-resnet101"}
PLUG_IN = "benchmarks/resnet_cifar10.py:resnet20"

# Pairs that take as long as these.
LONG_PAIRS = {
    ("binarize", "faster-rcnn-shufflenet"),
    ("binarize", "whale-id"),
    ("distill", "devise"),
    ("lowrank", "faster-rcnn-shufflenet"),
    ("lowrank", "vgg16-cifar10"),
    ("prune", "faster-rcnn-shufflenet"),
    ("prune", "show-attend-tell"),
    ("prune", "vgg16-cifar10"),
}
# The systems that are no classifiers of pictures, which a student of the table would replace.
SYSTEMS = (
    "faster-rcnn-resnet101", "faster-rcnn-shufflenet", "show-attend-tell", "vehicle-type",
    "whale-id",
)  # fmt: skip
REFUSED = dict.fromkeys(
    (("distill", system) for system in SYSTEMS), "shufflenet-x0.5 classifies pictures"
)

DETECTORS = {"faster-rcnn-resnet101", "faster-rcnn-shufflenet"}
REFUSED |= dict.fromkeys(
    (("proposals", other) for other in {*WORKLOADS, PLUG_IN} - DETECTORS), "chooses boxes"
)

PAIRS = [
    pytest.param(
        name,
        workload,
        marks=[pytest.mark.verify] if workload in LONG or (name, workload) in LONG_PAIRS else [],
    )
    for workload in [*sorted(WORKLOADS), PLUG_IN]
    for name in MODEL_PASSES
]


@pytest.mark.parametrize(("name", "reference"), PAIRS)
def test_pass_on_workload(name: str, reference: str, root: Path) -> None:
    workload, why = _workload(reference, root), REFUSED.get((name, reference))
    expected = pytest.raises(Unsupported, match=why) if why else nullcontext()
    try:
        with _scenes_of_noise(), expected:
            check_pass(small_pass(name), workload)
    except Unavailable as missing:  # the blood cells
        pytest.skip(str(missing))


def _workload(reference: str, root: Path) -> Workload:
    """Return the workload; the pictures of CIFAR-10, which may not be here, are noise."""
    if reference != PLUG_IN:
        workload = load_workload(reference)
    else:
        workload = load_workload(f"{root}/{reference}")
        assert workload.model.build is not None
        try:
            workload.model.build()
        except ConfigError as missing:  # other people's weights
            pytest.skip(str(missing))
    task = workload.task
    if isinstance(task, Classification) and "cifar10" in task.identity:
        return replace(workload, task=replace(task, load=_noise))
    return workload


@contextmanager
def _scenes_of_noise() -> Iterator[None]:
    """Let scenes be composed of noise; what is cached of CIFAR-10's pictures stays as it is."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "_pictures", cache(_noise))
        patch.setattr(scenes, "_numbers", cache(scenes._numbers.__wrapped__))
        yield


def _noise(split: str) -> Samples:
    """Return as many pictures as a pass may ask for, labels of all classes."""
    rng = np.random.default_rng([len(split), 7])
    images = rng.integers(0, 256, (100, 32, 32, 3), dtype=np.uint8)
    return Samples(images, np.arange(100) % 10)
