"""Trainings on a card: like those on the processor, which goes on from their checkpoints."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from perfsuite.domain.task import TrainingSet
from perfsuite.training.finetune import fine_tune
from perfsuite.training.plan import SgdPlan

torch = pytest.importorskip("torch")
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no card"),
]

PLAN = SgdPlan(
    epochs=4, batch=16, peak_rate=0.1, averaging=(2, 0.05), cutouts=((0, 2),), teacher=0.5
)


def data() -> TrainingSet:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 64).astype(np.uint8)
    pictures = rng.normal(size=(64, 3, 8, 8)) + labels[:, None, None, None]
    return TrainingSet(pictures.astype(np.float32), labels, lambda batch, rng: batch)


def net(seed: int) -> Any:
    from torch import nn

    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(288, 2)]
    return nn.Sequential(*layers)


def trained(device: str, monkeypatch: pytest.MonkeyPatch, **more: Any) -> dict[str, np.ndarray]:
    monkeypatch.setenv("PERFSUITE_TRAIN_DEVICE", device)
    module = net(0)
    plan = msgspec.structs.replace(PLAN, bf16=False)
    fine_tune(module, data(), plan, teacher=net(1), **more)
    return {name: value.numpy() for name, value in module.state_dict().items()}


def test_a_card_trains_as_the_processor_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    on_card = trained("cuda", monkeypatch, checkpoint=tmp_path / "a.pt", say=said.append)
    on_processor = trained("cpu", monkeypatch)
    for name, value in on_processor.items():
        np.testing.assert_allclose(on_card[name], value, rtol=0.02, atol=0.02, err_msg=name)
    assert said[0].endswith(" on cuda")
    # A processor takes a card's checkpoint: with all epochs done, only the norms are settled anew.
    again = trained("cpu", monkeypatch, checkpoint=tmp_path / "a.pt")
    for name, value in on_card.items():
        np.testing.assert_allclose(again[name], value, rtol=1e-3, atol=1e-3, err_msg=name)
