"""Faster R-CNN: on ResNet-101, with weights of the user, and on ShuffleNetV2, for blood cells.

The weights of a ResNet-101 do not fit into a repository. `faster-rcnn-resnet101` takes a user's
checkpoint, from `PERFSUITE_FASTER_RCNN` or from a function of the user's own::

    def my_detector():
        return faster_rcnn_resnet101(Path("detector.pth"), my_detection_task)

Without one its weights are random, with norms fitted to a few photographs so that activations stay
finite, and every result is labelled as untrained. Its detections then have no meaning, but its time
is that of a trained net with as many proposals and detections.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.data import bccd
from perfsuite.data.photographs import sections
from perfsuite.domain.model import Model
from perfsuite.domain.preprocessing import Preprocessing
from perfsuite.domain.task import UNTRAINED, Inputs, Outputs, Task
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError
from perfsuite.models.faster_rcnn import RESIDUAL, RESNET101, STAGES
from perfsuite.store.cache import Cache, key_of
from perfsuite.training.loop import AdamPlan
from perfsuite.workloads.tasks.detection import (
    Detection,
    agreed,
    differences,
    fitted,
    how_scaled,
    scaled,
)
from perfsuite.workloads.zoo import weights

if TYPE_CHECKING:
    from torch import nn

HEIGHT, WIDTH = 480, 640  # of the pictures that both detectors take
CHECKPOINT = "PERFSUITE_FASTER_RCNN"  # the environment variable that may name one
# The largest `differences` allowed with random weights: rounding errors grow in them, and of boxes
# with nearly the same score another one may be suppressed. `heads_alone` compares the raw outputs.
ALIKE = {"boxes": 16.0, "scores": 0.05, "unmatched": 20.0}
NORMS = "norms.safetensors"

# A picture takes two cores 0.1 s, an epoch 20 s, the whole training half an hour.
SHUFFLENET_PLAN = AdamPlan(
    epochs=90, batch=8, peak_rate=2e-3, weight_decay=0.02, warmup=0.1, bf16=False
)


@dataclass(frozen=True)
class Photographs(Task):
    """Sections of two photographs without labels, for timing and profiling a detector."""

    labels: tuple[str, ...] = ()

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return `batch` pictures, chosen by `seed`."""
        return {"images": scaled(sections(batch, HEIGHT, WIDTH, seed))}

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Yield `samples` other pictures, one by one."""
        for index in range(samples):
            yield self.inputs(1, 1_000_000 + index)

    def from_picture(self, picture: np.ndarray) -> Inputs:
        """Return the picture, scaled to fit and padded."""
        return {"images": scaled(fitted(picture, HEIGHT, WIDTH)[0][None])}

    def preprocessing(self) -> Preprocessing:
        """Return that pictures are scaled to fit, and their values to 1."""
        return how_scaled(HEIGHT, WIDTH)

    def agreement(self, expected: Outputs, answered: Outputs, precision: str) -> dict[str, float]:
        """Return the `differences`; raise `ParityError` in fp32 if they exceed `ALIKE`."""
        return agreed(differences(expected, answered), precision, ALIKE)

    def fingerprint(self) -> str:
        """Return what identifies the photographs."""
        return key_of("photographs", sections(1, HEIGHT, WIDTH, 0).tobytes())


def faster_rcnn_shufflenet() -> Workload:
    """Return `faster-rcnn-shufflenet`: trained on BCCD, three kinds of blood cells."""

    def build() -> nn.Module:
        return weights.load(shufflenet_net(), weights.FOLDER / "faster-rcnn-shufflenet.safetensors")

    task = Detection(bccd.load, HEIGHT, WIDTH)
    return Workload("faster-rcnn-shufflenet", Model(build, stages=STAGES, batch=1), task)


def shufflenet_net() -> nn.Module:
    """Return the net of `faster-rcnn-shufflenet` without its weights."""
    from perfsuite.models.faster_rcnn import faster_rcnn_shufflenet as net

    return net(len(bccd.CLASSES))


def faster_rcnn_resnet101(checkpoint: Path | None = None, task: Task | None = None) -> Workload:
    """Return `faster-rcnn-resnet101`, with a checkpoint's weights or untrained.

    The number of classes is the checkpoint's, or COCO's 90. The default task is photographs.
    """
    given = os.environ.get(CHECKPOINT)
    path = checkpoint or (Path(given) if given else None)
    said = () if path else (UNTRAINED,)
    numbers = (f"{RESNET101.proposals} proposals", f"{RESNET101.detections} detections at most")
    build = partial(_from_checkpoint, path) if path else untrained_resnet101
    model = Model(build, stages=STAGES, batch=1)
    return Workload("faster-rcnn-resnet101", model, task or Photographs((*said, *numbers)))


def _from_checkpoint(path: Path) -> nn.Module:
    from perfsuite.models.faster_rcnn import faster_rcnn_resnet101 as net

    state = _state(path)
    scores = state.get("roi_heads.box_predictor.cls_score.weight")
    if scores is None:
        raise ConfigError(
            f"{path}: not a checkpoint of torchvision's Faster R-CNN: it has no "
            f"roi_heads.box_predictor.cls_score.weight"
        )
    module = net(len(scores) - 1)
    found = module.load_state_dict(state, strict=False)
    # Norms that were frozen in training have no number of batches.
    missing = [name for name in found.missing_keys if not name.endswith("num_batches_tracked")]
    if missing or found.unexpected_keys:
        raise ConfigError(
            f"{path}: a checkpoint of another net: it lacks {missing[:3]}, and has "
            f"{found.unexpected_keys[:3]} that a Faster R-CNN on ResNet-101 with FPN has not"
        )
    return module.eval()


def _state(path: Path) -> dict[str, Any]:
    """Return the tensors in a .safetensors or .pth file, read without running anything in it."""
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise ConfigError(f"{path}: there is no such checkpoint ({CHECKPOINT}, or the function's)")
    try:
        if path.suffix == ".safetensors":
            return dict(load_file(path))
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        first = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(f"{path}: not a checkpoint of tensors alone: {first}") from error
    state = state.get("model", state) if isinstance(state, dict) else state
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise ConfigError(f"{path}: not a state_dict, a dictionary of names and tensors")
    return state


def untrained_resnet101() -> nn.Module:
    """Return the detector with seeded random weights and norms that fit the photographs.

    The fitted tensors, 0.7 MB, are stored in the cache.
    """
    import torch
    import torchvision
    from safetensors.torch import load_file

    from perfsuite.models.faster_rcnn import faster_rcnn_resnet101 as net

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        module = net()
    versions = (torch.__version__, torchvision.__version__)
    key = key_of("faster-rcnn-resnet101", repr((RESNET101, RESIDUAL)), *versions)
    folder, _ = Cache().build("norms", key, partial(_write_norms, module))
    module.load_state_dict(load_file(folder / NORMS), strict=False)
    return module.eval()


def _write_norms(module: nn.Module, folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from perfsuite.models.untrained import settle

    changed = settle(module, torch.from_numpy(Photographs().inputs(2, 0)["images"]))
    save_file(changed, folder / NORMS)
