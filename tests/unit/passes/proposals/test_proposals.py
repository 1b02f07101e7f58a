"""Detectors choose from fewer boxes: which numbers change, and what is said where none does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from small_passes import small_workload_of
from torch import nn

from perfsuite.config.checking import make_pass
from perfsuite.domain.recipe import Edits, PassUse, Target
from perfsuite.errors import BuildError, ConfigError, Unsupported
from perfsuite.models.faster_rcnn import faster_rcnn_shufflenet
from perfsuite.passes.proposals import Proposals
from perfsuite.testing.samples import context

WORKLOAD = small_workload_of("proposals")


def fitted(module: nn.Module, pass_: Proposals) -> Edits:
    assert WORKLOAD is not None
    return pass_.fit(module, context(WORKLOAD, Target("onnxruntime", "cpu"), Path()))


class OneStage(nn.Module):
    """As RetinaNet, FCOS and SSD say it."""

    topk_candidates = 400


class TwoStages(nn.Module):
    """As torchvision's RPN says it, in a detector."""

    def __init__(self) -> None:
        super().__init__()
        self.rpn = nn.Identity()
        self.rpn._pre_nms_top_n = {"training": 2000, "testing": 1000}
        self.rpn._post_nms_top_n = {"training": 2000, "testing": 100}


def test_a_detector_of_two_stages_is_tested_with_fewer_and_trained_as_before() -> None:
    module = faster_rcnn_shufflenet(3)
    edits = fitted(module, Proposals(pre_nms=300, post_nms=60))
    assert edits.data["limits"] == {"rpn": {"pre_nms": 300, "post_nms": 60}}
    assert edits.data["labels"] == [
        "300 candidates before NMS instead of 1000",
        "60 proposals after NMS instead of 100",
    ]
    assert not edits.tensors
    rebuilt: Any = Proposals(pre_nms=300, post_nms=60).rebuild(faster_rcnn_shufflenet(3), edits)
    assert rebuilt.rpn._pre_nms_top_n == {"training": 1000, "testing": 300}
    assert rebuilt.rpn._post_nms_top_n == {"training": 1000, "testing": 60}
    with torch.no_grad():
        boxes, *_ = rebuilt(torch.rand(1, 3, 480, 640))
    assert boxes.shape == (1, 100, 4), "detections are as many as before"


def test_a_detector_of_one_stage_has_candidates_alone() -> None:
    edits = fitted(OneStage(), Proposals(pre_nms=100))
    assert edits.data["limits"] == {"": {"pre_nms": 100}}
    module: Any = Proposals(pre_nms=100).rebuild(OneStage(), edits)
    assert (module.topk_candidates, OneStage.topk_candidates) == (100, 400)
    with pytest.raises(ConfigError, match="one stage, and so no post_nms; leave it out"):
        fitted(OneStage(), Proposals(pre_nms=100, post_nms=50))


def test_numbers_that_are_as_small_already_stay() -> None:
    edits = fitted(TwoStages(), Proposals(pre_nms=200, post_nms=100))
    assert edits.data["limits"] == {"rpn": {"pre_nms": 200}}
    with pytest.raises(Unsupported, match="rpn has 100 proposals after NMS; ask for fewer"):
        fitted(TwoStages(), Proposals(post_nms=300))


def test_what_chooses_no_boxes_is_told() -> None:
    with pytest.raises(Unsupported, match="no module of it chooses boxes by their scores"):
        fitted(nn.Sequential(nn.Conv2d(3, 3, 1)), Proposals(pre_nms=10))


def test_edits_of_another_model_are_refused() -> None:
    edits = fitted(TwoStages(), Proposals(post_nms=10))
    with pytest.raises(BuildError, match="no module 'rpn' with post_nms"):
        Proposals(post_nms=10).rebuild(OneStage(), edits)


@pytest.mark.parametrize(
    ("fields", "message"), [({}, "say pre_nms"), ({"pre_nms": 0}, "pre_nms is 0")]
)
def test_fields_that_make_no_sense_are_told(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make_pass(PassUse("proposals", fields))
