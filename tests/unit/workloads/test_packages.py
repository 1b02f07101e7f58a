"""The nets of torchvision and timm by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from perfsuite import ConfigError
from perfsuite.config.conversion import Location
from perfsuite.config.naming import name_and_reference
from perfsuite.workloads import packages
from perfsuite.workloads.packages import RANDOM, check_packaged, is_packaged, packaged_workload
from perfsuite.workloads.table import check_workload_exists, load_workload


def test_references_of_packages_are_told_from_files() -> None:
    assert is_packaged("torchvision:resnet50") and is_packaged("timm:vit_tiny")
    assert not is_packaged("resnet50") and not is_packaged("my_models.py:net")
    here = Location("WORKLOAD")
    assert name_and_reference("timm:a.b", Path(), here) == ("a.b", "timm:a.b")


def test_a_package_that_is_not_there_is_said_before_anything_runs(monkeypatch) -> None:
    monkeypatch.setattr(packages, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="timm is not installed; pip install timm"):
        check_workload_exists("timm:resnet18")
    with pytest.raises(ConfigError, match="write torchvision:NAME"):
        check_packaged("torchvision:")


def test_a_name_that_torchvision_has_not_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="did you mean 'resnet50'"):
        packaged_workload("torchvision:resnet5O")


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("mobilenet_v3_small", (2, 3, 224, 224)),
        ("inception_v3", (2, 3, 299, 299)),
        ("fcn_resnet50", (2, 3, 520, 520)),
        ("r3d_18", (2, 3, 16, 112, 112)),
        ("ssdlite320_mobilenet_v3_large", (2, 3, 320, 320)),
    ],
)
def test_nets_get_pictures_of_the_size_that_they_were_trained_for(name, shape) -> None:
    inputs = packaged_workload(f"torchvision:{name}").task.inputs(2, 0)
    assert [array.shape for array in inputs.values()] == [shape]


def test_a_net_has_the_same_random_weights_each_time_and_says_so() -> None:
    import torch

    workload = load_workload("torchvision:squeezenet1_1")
    assert workload.name == "squeezenet1_1" and RANDOM in workload.task.labels
    torch.manual_seed(3)
    first = workload.model.build().state_dict()
    torch.manual_seed(4)
    second = workload.model.build().state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_a_detector_takes_one_picture() -> None:
    import torch

    workload = load_workload("torchvision:ssdlite320_mobilenet_v3_large")
    assert workload.model.batch == 1
    net = workload.model.build()
    with torch.inference_mode():
        found = net(*map(torch.from_numpy, workload.task.inputs(1, 0).values()))
    assert set(found[0]) == {"boxes", "scores", "labels"}


def test_calibration_samples_are_no_inputs() -> None:
    task = load_workload("torchvision:squeezenet1_1").task
    samples = list(task.calibration(2))
    assert len(samples) == 2
    assert not np.array_equal(samples[0]["pictures"], samples[1]["pictures"])


def test_batch_norms_of_a_detector_settle_on_random_pictures() -> None:
    import torch
    from torch import nn

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 4, 3, stride=32), nn.BatchNorm2d(4))
            self.asked = 0

        def backbone(self, pictures: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"0": self.body(pictures)}

        def head(self, features: list[torch.Tensor]) -> None:
            self.asked += len(features)

    net = packages.settled(Small())
    (norm,) = (part for part in net.modules() if isinstance(part, nn.BatchNorm2d))
    assert not net.training
    assert net.asked == 1
    out = norm(net.body[0](torch.randn(2, 3, 320, 320)))  # type: ignore[index]
    assert 0.5 < float(out.detach().std()) < 1.5


def test_heads_of_a_detector_without_norms_give_about_one() -> None:
    import torch
    from torch import nn

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Conv2d(8, 4, 3))
            for part in self.head.parameters():
                nn.init.normal_(part, std=30.0)

        def forward(self, pictures: list[torch.Tensor]) -> torch.Tensor:
            return self.head(pictures[0][None])

    torch.manual_seed(0)
    net = packages.tamed(small := Small(), [small.head], 300)
    out = net([torch.randn(3, 300, 300)]).detach()
    assert 0.8 < float(out.std()) < 1.25


def test_optical_flow_is_exported_for_one_pair_of_pictures() -> None:
    workload = load_workload("torchvision:raft_small")
    assert workload.model.batch == 1
    assert list(workload.task.inputs(1, 0)) == ["first", "second"]


def test_layers_that_were_drawn_as_zeros_are_drawn_anew() -> None:
    import torch
    from torch import nn

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head, self.norm = nn.Linear(3, 4), nn.BatchNorm2d(3)
            self.gamma = nn.Parameter(torch.full((3, 1, 1), 1e-6))
            self.scale = nn.Parameter(torch.ones(3))
            for part in (self.head.weight, self.head.bias, self.norm.weight):
                nn.init.zeros_(part)

    net = packages.woken(Small())
    assert 0.005 < float(net.head.weight.detach().std()) < 0.05
    for factors in (net.norm.weight, net.gamma):
        assert 0.5 <= float(factors.min()) < float(factors.max()) <= 1.5
    assert not net.head.bias.any() and not net.norm.bias.any()
    assert torch.equal(net.scale, torch.ones(3))


def test_what_stands_before_a_head_of_zeros_shows_in_the_answers() -> None:
    net = load_workload("torchvision:vit_b_32").model.build()
    assert net.heads.head.weight.any()
