"""The workloads that come with perfsuite, by name, and the loader of all workloads."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

from perfsuite import plugins
from perfsuite.domain.model import GivenShapes
from perfsuite.domain.suite import DetectionTable
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError
from perfsuite.user_code import user_code
from perfsuite.workloads.checked import checked
from perfsuite.workloads.packages import check_packaged, is_packaged, packaged_workload
from perfsuite.workloads.zoo import (
    captions,
    cifar10,
    devise,
    digits,
    faster_rcnn,
    vehicle_type,
    weights,
    whale_id,
)

WORKLOADS: dict[str, Callable[[], Workload]] = {
    "devise": devise.devise,
    "faster-rcnn-resnet101": faster_rcnn.faster_rcnn_resnet101,
    "faster-rcnn-shufflenet": faster_rcnn.faster_rcnn_shufflenet,
    "show-attend-tell": captions.show_attend_tell,
    "shufflenet-cifar10": cifar10.shufflenet,
    "vehicle-type": vehicle_type.vehicle_type,
    "vgg-digits": digits.vgg_digits,
    "vgg16-cifar10": cifar10.vgg16,
    "whale-id": whale_id.whale_id,
    "whale-id-plain": whale_id.whale_id_plain,
}

# What were workloads of their own, when a task had one metric: the workload and the metric now.
MERGED = {
    "devise-hit5": ("devise", "hit5"),
    "devise-zero-shot": ("devise", "zero_shot_hit1"),
    "show-attend-tell-attention": ("show-attend-tell", "attention_in_box"),
}


def check_workload_exists(reference: str) -> None:
    """Raise `ConfigError` unless `load_workload` would find a name or `file.py:name`.

    Of a net of torchvision or timm only whether the package is there: its names need torch.
    """
    if is_packaged(reference):
        check_packaged(reference)
        return
    if reference in MERGED:
        workload, metric = MERGED[reference]
        raise ConfigError(
            f"'{reference}' is no workload any more: name '{workload}', whose metric '{metric}' it "
            f"was, and that metric in budgets"
        )
    plugins.check_exists("workload", reference, WORKLOADS)


def weights_of(reference: str) -> Path | None:
    """Return the file that a workload of the table has all its weights from; None for any other.

    Its model follows from this file, from perfsuite's sources and from the libraries' versions.
    """
    path = weights.FOLDER / f"{reference}.safetensors"
    return path if reference in WORKLOADS and path.is_file() else None


def load_workload(
    reference: str,
    samples: str = "",
    shapes: GivenShapes | None = None,
    detection: DetectionTable | None = None,
) -> Workload:
    """Return the workload of a name, `file.py:name`, `file.onnx`, or `torchvision:NAME`.

    `samples` is the path of an ONNX workload's samples file, `shapes` are those that its inputs are
    to have, and `detection` says how it is judged as a detector. A plug-in may be a `Workload` or a
    function without arguments that returns one.
    """
    if reference.endswith(".onnx"):
        from perfsuite.workloads.onnx.file import onnx_workload

        file = Path(samples) if samples else None
        return checked(onnx_workload(Path(reference), file, shapes, detection))
    if is_packaged(reference):
        return checked(packaged_workload(reference))
    if reference in MERGED:
        check_workload_exists(reference)
    found = plugins.load("workload", reference, WORKLOADS)
    check_no_module(found, f"workload '{reference}'")
    if callable(found):
        name = reference.rpartition(":")[2]
        with user_code(f"workload '{reference}': calling {name}()", ConfigError):
            found = found()
        check_no_module(found, f"workload '{reference}'")
    if not isinstance(found, Workload):
        raise ConfigError(
            f"workload '{reference}': a perfsuite.Workload was expected, not {type(found).__name__}"
        )
    return checked(found)


def check_no_module(found: object, where: str) -> None:
    """Raise `ConfigError` for a torch module or a class of such, with what to write instead."""
    torch = sys.modules.get("torch")  # whoever has a module has loaded it
    if torch is None:
        return
    kind = found if isinstance(found, type) else type(found)
    if issubclass(kind, torch.nn.Module):
        raise ConfigError(
            f"{where}: a torch module does not say what goes into it; name a workload, written "
            f"beside it with batches of your own, or a data loader in the place of the list:\n"
            f"    rng = numpy.random.default_rng(0)\n"
            f"    pictures = rng.random((8, 3, 224, 224), numpy.float32)\n"
            f"    def build():\n"
            f"        return {kind.__name__}(...)  # its weights loaded, alike each time\n"
            f"    task = perfsuite.Batches([pictures])\n"
            f'    net = perfsuite.Workload("net", perfsuite.Model(build), task)'
        )
