"""The students of the table: their size, and the pictures that they take."""

from __future__ import annotations

from typing import Any

import pytest

from perfsuite.measure.macs import count_module
from perfsuite.models.faster_rcnn import faster_rcnn_shufflenet
from perfsuite.models.students import STUDENTS, Pictures
from perfsuite.models.vgg import vgg16

torch = pytest.importorskip("torch")

# A stem of 24 channels, stages of 4, 8 and 4 blocks, 1024 channels before the last layer.
PARAMETERS = {"shufflenet-x0.5": 352_042, "shufflenet-x1.0": 1_263_854, "vgg-narrow": 3_684_842}


SCORING = [name for name in STUDENTS if not STUDENTS[name]().detects]


def built(name: str, *shape: int, classes: int = 10) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return STUDENTS[name]().build(Pictures(*shape, classes)).eval()


@pytest.mark.parametrize("name", SCORING)
def test_their_parameters(name: str) -> None:
    found = sum(weight.numel() for weight in built(name, 3, 32, 32).parameters())
    assert found == PARAMETERS[name]


@pytest.mark.parametrize("name", SCORING)
@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 32, 32), (3, 40, 48), (4, 96, 70)])
def test_they_take_pictures_of_any_size(name: str, shape: tuple[int, ...]) -> None:
    with torch.no_grad():
        scores = built(name, *shape, classes=3)(torch.ones(2, *shape))
    assert scores.shape == (2, 3)
    assert scores.isfinite().all()


@pytest.mark.parametrize("name", SCORING)
def test_their_stages_are_all_of_their_layers(name: str) -> None:
    module, stages = built(name, 3, 96, 96), STUDENTS[name]().stages
    prefixes = [prefix for stage in stages for prefix in stage.modules]
    assert set(prefixes) <= {path for path, _ in module.named_modules()}
    for path, part in module.named_modules():
        if list(part.parameters(recurse=False)):
            assert any(path == one or path.startswith(f"{one}.") for one in prefixes), path


def test_a_large_picture_is_shrunk_by_the_stem_and_a_small_one_is_not() -> None:
    for side, stride in ((64, 1), (65, 2)):
        module = built("shufflenet-x0.5", 3, side, 200)
        assert module.conv1[0].stride == (stride, stride)
        assert isinstance(module.maxpool, torch.nn.Identity) is (stride == 1)


def test_the_narrow_vgg_has_a_quarter_of_the_macs() -> None:
    picture = {"image": torch.zeros(1, 3, 32, 32).numpy()}
    whole, narrow = (
        count_module(net, picture).macs for net in (vgg16().eval(), built("vgg-narrow", 3, 32, 32))
    )
    assert narrow / whole == pytest.approx(0.25, abs=0.005)


def test_a_detector_has_boxes_of_as_many_classes_as_are_asked_for_and_few_candidates() -> None:
    module: Any = built("faster-rcnn-shufflenet-x0.5", 3, 48, 64, classes=5)
    assert module.roi_heads.box_predictor.cls_score.out_features == 6
    with torch.no_grad():
        boxes, labels, scores = module(torch.ones(1, 3, 48, 64))
    assert (boxes.shape, labels.shape, scores.shape) == ((1, 100, 4), (1, 100), (1, 100))
    whole: Any = faster_rcnn_shufflenet(5)
    assert module.rpn.pre_nms_top_n() < whole.rpn.pre_nms_top_n()
    assert module.rpn.post_nms_top_n() < whole.rpn.post_nms_top_n()
    few, many = (sum(p.numel() for p in one.backbone.body.parameters()) for one in (module, whole))
    assert few < 0.5 * many
