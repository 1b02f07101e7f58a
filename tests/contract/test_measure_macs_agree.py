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


def test_they_agree_where_the_number_of_rows_depends_on_values(tmp_path: Path) -> None:
    import torch
    from torch import nn

    class Proposals(nn.Module):
        """The head of a detector: places with a high score are looked at again."""

        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.head = nn.Conv2d(3, 8, 3, padding=1), nn.Linear(8, 5)

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            maps = self.trunk(image).flatten(2)[0].transpose(0, 1)
            rows = torch.nonzero(image[0, 0].flatten() > 0).flatten()
            return self.head(maps[rows])

    torch.manual_seed(0)
    net, path = Proposals().eval(), tmp_path / "net.onnx"
    image = np.random.default_rng(0).standard_normal((1, 3, 8, 8)).astype(np.float32)
    rows = int((image[0, 0] > 0).sum())
    torch.onnx.export(
        net, (torch.from_numpy(image),), str(path), input_names=["image"], dynamo=False
    )
    counted, module = count_graph(path, {"image": image}), count_module(net, {"image": image})
    assert 0 < rows < 64
    assert module.macs == counted.macs == 64 * 8 * 27 + rows * 8 * 5
    assert counted.uncounted == module.uncounted == {}
    assert counted.parameters == module.parameters
