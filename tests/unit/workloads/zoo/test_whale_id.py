"""The staged whale recipe: its geometry by hand, what each stage learns from, its export."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfsuite.data import whales
from perfsuite.domain.task import SYNTHETIC
from perfsuite.errors import Unavailable
from perfsuite.training.loop import AdamPlan, TrainingProgress, train
from perfsuite.workloads.zoo import whale_id

torch = pytest.importorskip("torch")

FEW = 8


def few(split: str) -> whales.Whales:
    """Return the first pictures of `split`."""
    labels = whales.labels_of(split)[:FEW]
    drawn = [whales.draw(split, index, int(label)) for index, label in enumerate(labels)]
    images, boxes, points = (np.stack(parts) for parts in zip(*drawn, strict=True))
    return whales.Whales(images, labels, boxes, points)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whale_id.whales, "load", few)
    whale_id._load.cache_clear()
    torch.manual_seed(0)


# -- cutting and reading ----------------------------------------------------------------------


def cut(side: int, picture: Any, middle: tuple[float, float], right: tuple[float, float]) -> Any:
    from perfsuite.models.cutting import cutter

    return cutter(side, picture.shape[-1])(
        picture[None, None], torch.tensor([[middle]]), torch.tensor([[right]])
    )[0, 0]


def test_a_cut_of_everything_is_the_picture_and_turned_ones_are_turned() -> None:
    picture = torch.arange(16.0).reshape(4, 4)
    middle = (2.0, 2.0)
    assert torch.allclose(cut(4, picture, middle, (2.0, 0.0)), picture, atol=1e-5)
    # Its right edge lies where the picture's lower edge is: turned back by a quarter.
    assert torch.allclose(cut(4, picture, middle, (0.0, 2.0)), torch.rot90(picture), atol=1e-5)
    halves = torch.rot90(picture, 2)
    assert torch.allclose(cut(4, picture, middle, (-2.0, 0.0)), halves, atol=1e-5)


def test_several_squares_are_cut_out_of_each_picture() -> None:
    from perfsuite.models.cutting import cutter

    pictures = torch.arange(2 * 2 * 4 * 4.0).reshape(2, 2, 4, 4)
    middles = torch.tensor([[[1.0, 1.0], [3.0, 1.0], [2.0, 2.0]], [[3.0, 3.0]] * 3])
    squares = cutter(2, 4)(pictures, middles, torch.tensor([1.0, 0.0]).expand(2, 3, 2))
    assert squares.shape == (6, 2, 2, 2)
    assert torch.allclose(squares[1], pictures[0, :, :2, 2:], atol=1e-4)
    assert torch.allclose(squares[2], pictures[0, :, 1:3, 1:3], atol=1e-4)
    assert torch.allclose(squares[5], pictures[1, :, 2:, 2:], atol=1e-4)


def test_a_cut_of_a_part_keeps_its_pixels_and_is_empty_outside() -> None:
    picture = torch.arange(16.0).reshape(4, 4)
    assert torch.allclose(cut(2, picture, (1.0, 2.0), (1.0, 0.0)), picture[1:3, :2], atol=1e-5)
    corner = cut(2, picture + 1, (0.0, 0.0), (1.0, 0.0))
    assert torch.allclose(corner, torch.tensor([[0.0, 0.0], [0.0, 1.0]]), atol=1e-5)


def test_the_centre_of_mass_is_in_units_of_the_maps_edges() -> None:
    from perfsuite.models.whale import _centre_of_mass

    heat = torch.full((1, 2, 4, 4), -50.0)
    heat[0, 0, 0, 3] = 50.0  # the upper right cell: its middle is 3/4 of the way to the edges
    heat[0, 1, 2, 1] = heat[0, 1, 2, 2] = 50.0
    places = _centre_of_mass(4)(heat)
    assert torch.allclose(places[0], torch.tensor([[0.75, -0.75], [0.0, 0.25]]))


def test_surroundings_are_a_square_of_six_fifths() -> None:
    from perfsuite.models.whale import surroundings

    middle, half = surroundings(torch.tensor([[10.0, 20.0, 40.0, 30.0]]))
    assert middle.tolist() == [[25.0, 25.0]]
    assert half.tolist() == [[pytest.approx(18.0)]]


def test_aligned_heads_point_to_the_right_wherever_they_pointed() -> None:
    from perfsuite.data.images import normalized
    from perfsuite.models.whale import aligner

    data = few("train")
    # The cut's 40 pixels show 1.9 lengths of the head; the middle is 0.45 from the blowhead.
    ends = [round(20 + (place - 0.45) / 0.95 * 20) for place in (1.0, 0.0)]
    dots = data.images.copy() // 4
    for picture, points in zip(dots, data.points, strict=True):
        for px, py in points:
            picture[int(py) - 1 : int(py) + 2, int(px) - 1 : int(px) + 2] = 255
    turned = aligner()(
        torch.from_numpy(normalized(dots)), torch.from_numpy(data.points.reshape(-1, 4))
    )
    light = turned.mean(1)
    for end in ends:
        around = light[:, 18:22, end - 2 : end + 2].amax((1, 2))
        assert torch.all(around > 0.8 * light.amax((1, 2)))


def test_a_finder_reads_the_box_that_its_maps_say() -> None:
    from perfsuite.models.whale import end_finder, head_finder

    maps = torch.full((1, 3, 16, 16), -50.0)
    maps[0, 0, 8, 4] = 50.0  # cells are 8 pixels: the middle is x = 36, y = 68
    maps[0, 1:, 8, 4] = torch.logit(torch.tensor([0.25, 0.125]))
    box = head_finder().eval().read(maps)
    assert torch.allclose(box, torch.tensor([[20.0, 60.0, 52.0, 76.0]]), atol=1e-3)
    maps = torch.full((1, 2, 24, 24), -50.0)
    maps[0, 0, 0, 0] = maps[0, 1, 12, 23] = 50.0
    ends = end_finder().eval().read(maps, torch.tensor([[0.0, 0.0, 40.0, 40.0]]))
    # A square of 48 pixels from -4 to 44, in cells of 2.
    assert torch.allclose(ends, torch.tensor([[-3.0, -3.0, 43.0, 21.0]]), atol=1e-3)


# -- learning ---------------------------------------------------------------------------------


def test_each_stage_learns_from_its_own_labels() -> None:
    data = whale_id.whale_id().task.train()
    module = whale_id.net()
    images = torch.from_numpy(data.prepare(data.inputs, np.random.default_rng(0)))
    targets = torch.from_numpy(data.targets)

    def gradients(moved: slice, by: float) -> dict[str, float]:
        """Return how large each stage's gradients are with some of the targets changed."""
        torch.manual_seed(0)
        module.zero_grad()
        other = targets.clone()
        other[:, moved] += by
        assert data.loss is not None
        data.loss(module, images, other).backward()
        return {
            name: sum(p.grad.abs().sum().item() for p in stage.parameters())
            for name, stage in module.named_children()
        }

    usual = gradients(slice(0, 0), 0)
    assert all(usual[name] > 0 for name in ("detect", "keypoints", "classify"))
    targets[:, 0] = 7  # so that all individuals can be moved up by one
    usual, other = gradients(slice(0, 0), 0), gradients(slice(0, 1), 1)
    assert other == usual | {"classify": other["classify"]}
    assert other["classify"] != usual["classify"]


@pytest.mark.parametrize("staged", [True, False])
def test_training_makes_the_loss_smaller(staged: bool) -> None:
    workload = whale_id.whale_id() if staged else whale_id.whale_id_plain()
    module = whale_id.net() if staged else whale_id.plain_net()
    seen: list[TrainingProgress] = []
    plan = AdamPlan(epochs=6, batch=FEW, peak_rate=2e-3, bf16=False)
    train(module, workload.task.train(), plan, report=seen.append)
    assert seen[-1].loss < 0.9 * seen[0].loss
    outputs = module(torch.zeros(2, 3, 128, 128))
    assert (outputs[0] if staged else outputs).shape == (2, 427)


# -- the workloads ----------------------------------------------------------------------------


def test_both_answer_the_same_pictures_and_say_that_they_are_generated() -> None:
    asked = []
    for workload in (whale_id.whale_id(), whale_id.whale_id_plain()):
        labels = whales.labels_of("test")[:FEW]

        def predict(inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
            asked.append(inputs["images"])
            return [np.eye(427, dtype=np.float32)[labels]]  # noqa: B023

        rows = workload.task.rows(predict)
        assert workload.task.metric(rows) == 1.0
        assert workload.task.labels == (SYNTHETIC,)
        assert workload.task.fingerprint() == whales.fingerprint()
    assert np.array_equal(*asked)


def test_weights_that_are_not_there_are_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whale_id.weights, "FOLDER", tmp_path)
    for workload in (whale_id.whale_id(), whale_id.whale_id_plain()):
        assert workload.model.build is not None
        with pytest.raises(Unavailable, match=f"workloads.zoo.train {workload.name}"):
            workload.model.build()


def test_stages_are_the_nets_children() -> None:
    stages = [stage.modules for stage in whale_id.whale_id().model.stages]
    assert stages == [(name,) for name, _ in whale_id.net().named_children()]


@pytest.mark.verify  # it takes as long as all others here
def test_it_exports_and_engines_agree(tmp_path: Path) -> None:
    from engine_parity import check_engines

    check_engines(whale_id.whale_id(), whale_id.net().eval(), tmp_path, "dynamo")
