"""Nets whose work depends on values count alike in PyTorch and as the graph that was exported."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from perfsuite.measure.macs import count_graph, count_module

pytestmark = pytest.mark.verify


class Detector(nn.Module):
    """A Faster R-CNN of torchvision that takes a batch of one picture."""

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models.detection import fasterrcnn_mobilenet_v3_large_320_fpn

        torch.manual_seed(0)
        self.net = fasterrcnn_mobilenet_v3_large_320_fpn(
            weights=None,
            weights_backbone=None,
            num_classes=5,
            min_size=128,
            max_size=160,
            box_score_thresh=0.0,
        )

    def forward(self, picture: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (found,) = self.net([picture[0]])
        return found["boxes"], found["scores"]


def test_a_detector_with_as_many_proposals_as_it_finds(tmp_path: Path) -> None:
    net, path = Detector().eval(), tmp_path / "net.onnx"
    picture = np.random.default_rng(0).random((1, 3, 128, 160), np.float32)
    torch.onnx.export(net, (torch.from_numpy(picture),), str(path), input_names=["x"], dynamo=False)
    module, graph = count_module(net, {"x": picture}), count_graph(path, {"x": picture})
    assert module.macs == graph.macs > 10**9
    assert module.uncounted == graph.uncounted == {}
