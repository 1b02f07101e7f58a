"""Both ways of counting agree on one net: as a torch module and as the graph exported from it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from perfsuite.measure.macs import count_graph, count_module


def test_module_and_exported_graph_agree(tmp_path: Path) -> None:
    import torch
    from torch import nn

    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False),
        nn.Conv2d(8, 16, 1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(16, 10),
    ).eval()
    path = tmp_path / "net.onnx"
    torch.onnx.export(
        net,
        (torch.zeros(2, 3, 8, 8),),
        str(path),
        input_names=["image"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    assert onnx.load(path).graph.input[0].type.tensor_type.shape.dim[0].dim_param

    counted = count_graph(path)
    module = count_module(net, {"image": np.zeros((1, 3, 8, 8), np.float32)})

    # conv 8x8 * 8 * 27, depthwise 4x4 * 8 * 9, pointwise 4x4 * 16 * 8, linear 16 * 10
    assert module.macs == counted.macs == 64 * 8 * 27 + 16 * 8 * 9 + 16 * 16 * 8 + 160
    assert counted.uncounted == {}
    # The exporter folds the normalization (8 scales, 8 shifts) into the convolution.
    assert module.parameters == 8 * 27 + 8 + 16 + 8 * 9 + 16 * 8 + 16 + 160 + 10
    assert counted.parameters == module.parameters - 16
