"""Vehicles in scenes: what the nets read off maps, what is learnt, what counts as found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from plain_items import plain_items  # noqa: F401  (a fixture)

from perfsuite.data import scenes
from perfsuite.domain.task import SEMI_SYNTHETIC
from perfsuite.domain.workload import Workload
from perfsuite.training.loop import AdamPlan, TrainingProgress, train
from perfsuite.workloads.zoo import vehicle_type
from perfsuite.workloads.zoo.vehicle_type import MOST, NOTHING, OTHER, TYPES

torch = pytest.importorskip("torch")


@pytest.fixture(autouse=True)
def composed(plain_items: None) -> Iterator[None]:  # noqa: F811
    torch.manual_seed(0)
    yield


@pytest.fixture
def small() -> Workload:
    """Return the workload with few scenes."""
    whole = vehicle_type.vehicle_type()
    return replace(whole, task=replace(whole.task, training=16, test=12))


def test_targets_hold_every_item_and_say_which_is_no_vehicle(small: Workload) -> None:
    targets = small.task.train().targets
    assert targets.shape == (16, MOST, 5)
    for index, target in enumerate(targets):
        items = scenes.traffic("train", index)
        assert np.sum(target[:, 4] != NOTHING) == len(items)
        for place, item in enumerate(items):
            vehicle = item.label in scenes.VEHICLES
            wanted = scenes.VEHICLES.index(item.label) if vehicle else OTHER
            assert target[place, 4] == wanted
            assert target[place, :4] == pytest.approx(item.box())
    assert OTHER in targets[..., 4]


def test_a_finder_reads_boxes_off_peaks_in_falling_order() -> None:
    from perfsuite.models.vehicles import finder

    maps = torch.full((1, 5, 24, 24), -8.0)
    maps[0, 0, 10, 5], maps[0, 0, 10, 6], maps[0, 0, 2, 20] = 2.0, 1.0, 3.0
    maps[0, 1, 10, 5], maps[0, 2, 10, 5] = 0.0, torch.logit(torch.tensor(0.25))  # 32 wide, 16 high
    maps[0, 3, 10, 5], maps[0, 4, 10, 5] = 0.0, torch.logit(torch.tensor(0.75))
    module = finder()
    module.maps = lambda images: maps
    boxes, found = module(torch.zeros(1, 3, 96, 96))
    assert boxes.shape == (1, 6, 4)
    # The neighbour of a peak is none.
    assert found[0, :2].tolist() == pytest.approx(torch.tensor([3.0, 2.0]).sigmoid().tolist())
    assert found[0, 2:].max() < 0.001
    # Cells are 4 pixels: column 5 and a half of it, row 10 and three quarters.
    assert boxes[0, 1].tolist() == pytest.approx([22 - 16, 43 - 8, 22 + 16, 43 + 8], abs=1e-3)


def test_heat_is_one_in_the_middles_cell_and_wider_for_larger_boxes() -> None:
    boxes = torch.tensor([[[6.0, 8.0, 30.0, 32.0], [60.0, 60.0, 76.0, 76.0], [0.0, 0.0, 9.0, 9.0]]])
    wanted = torch.tensor([[True, True, False]])
    heat, cells = vehicle_type.heat_of(boxes, wanted, 24)
    assert cells.tolist() == [[5 * 24 + 4, 17 * 24 + 17, 1 * 24 + 1]]
    assert (heat == 1).nonzero().tolist() == [[0, 5, 4], [0, 17, 17]]
    assert heat[0, 5, 6] > heat[0, 17, 19] > 0
    # 24 pixels wide are 6 cells: the deviation is one cell.
    assert heat[0, 5, 5].item() == pytest.approx(np.exp(-0.5))


def test_the_focal_loss_by_hand() -> None:
    heat = torch.tensor([[[1.0, 0.5, 0.0]]])
    loss = vehicle_type.focal_loss(torch.zeros(1, 1, 3), heat)
    # Shares are 1/2: ln 2 times 1/4, times 1/4 times (1/2)^4, times 1/4.
    assert loss.item() == pytest.approx(np.log(2) / 4 * (1 + 1 / 16 + 1))


def answers(indices: np.ndarray, wrong: int = 0) -> list[np.ndarray]:
    """Return the true boxes, with all types of the first `wrong` scenes swapped."""
    boxes = np.zeros((len(indices), 6, 4), np.float32)
    scores = np.zeros((len(indices), 6, TYPES), np.float32)
    for place, index in enumerate(indices):
        items = [one for one in scenes.traffic("test", int(index)) if one.label in scenes.VEHICLES]
        for slot, one in enumerate(items):
            label = scenes.VEHICLES.index(one.label)
            boxes[place, slot] = one.box()
            scores[place, slot, (label + (place < wrong)) % TYPES] = 0.9
    return [boxes, scores]


def test_true_boxes_of_true_types_are_perfect_and_wrong_types_are_not(small: Workload) -> None:
    task = small.task
    rows = task.rows(lambda inputs: answers(np.arange(12)))
    assert task.metric(rows) == 1.0
    worse = task.rows(lambda inputs: answers(np.arange(12), wrong=6))
    assert np.array_equal(rows[6:], worse[6:])
    assert 0.2 < task.metric(worse) < 0.8
    nothing = task.rows(lambda inputs: [np.zeros((12, 6, 4)), np.zeros((12, 6, TYPES))])
    assert task.metric(nothing) == 0.0
    far = answers(np.arange(12))
    far[0] += 30
    assert task.metric(task.rows(lambda inputs: far)) < 0.05


def test_an_animal_that_is_called_a_vehicle_costs_precision(small: Workload) -> None:
    right = answers(np.arange(12))
    more = [array.copy() for array in right]
    for place in range(12):
        more[0][place, 5], more[1][place, 5, 0] = (1, 1, 20, 20), 0.99
    task = small.task
    before = task.metric(task.rows(lambda inputs: right))
    assert task.metric(task.rows(lambda inputs: more)) < before


def test_each_stage_learns_from_its_own_labels(small: Workload) -> None:
    data = small.task.train()
    module = vehicle_type.net()
    images = torch.from_numpy(data.prepare(data.inputs[:4], np.random.default_rng(0)))
    targets = torch.from_numpy(data.targets[:4])

    def gradients(types: torch.Tensor) -> dict[str, float]:
        torch.manual_seed(0)
        module.zero_grad()
        other = targets.clone()
        other[..., 4] = types
        assert data.loss is not None
        data.loss(module, images, other).backward()
        return {
            name: sum(p.grad.abs().sum().item() for p in stage.parameters())
            for name, stage in module.named_children()
        }

    types = targets[..., 4].clone()
    usual = gradients(types)
    assert min(usual.values()) > 0
    swapped = types.clone()
    vehicle = (types >= 0) & (types < OTHER)
    swapped[vehicle] = (types[vehicle] + 1) % TYPES  # another type is found alike
    other = gradients(swapped)
    assert other["detect"] == usual["detect"]
    assert other["classify"] != usual["classify"]


def test_training_makes_the_loss_smaller(small: Workload) -> None:
    seen: list[TrainingProgress] = []
    plan = AdamPlan(epochs=5, batch=8, peak_rate=2e-3, bf16=False)
    train(vehicle_type.net(), small.task.train(), plan, report=seen.append)
    assert seen[-1].loss < 0.8 * seen[0].loss


def test_scenes_without_a_detection_and_calibration_are_taken(small: Workload) -> None:
    batches = list(small.task.calibration(3))
    assert [batch["images"].shape for batch in batches] == [(3, 3, 96, 96)]
    assert small.task.labels == (SEMI_SYNTHETIC,)


@pytest.mark.verify  # it takes as long as all others here
def test_it_exports_and_engines_agree(small: Workload, tmp_path: Path) -> None:
    from engine_parity import check_engines

    check_engines(small, vehicle_type.net().eval(), tmp_path, "dynamo")
