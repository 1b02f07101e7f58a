"""A training's state on disk: torn, foreign, and on a disk that is full."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import msgspec
import numpy as np
import pytest

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import ConfigError, PerfsuiteError
from perfsuite.training.loop import SgdPlan, TrainingProgress, train

torch = pytest.importorskip("torch")

PLAN = SgdPlan(epochs=3, batch=4, bf16=False)
DATA = TrainingSet(np.zeros((8, 1), np.float32), np.zeros(8, np.uint8), lambda batch, rng: batch)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the checkpoint of a finished training."""
    train(torch.nn.Linear(1, 2), DATA, PLAN, checkpoint=tmp_path / "x.pt")
    return tmp_path / "x.pt"


def refusal(path: Path, module: torch.nn.Module | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        train(module or torch.nn.Linear(1, 2), DATA, PLAN, checkpoint=path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.99])
def test_a_torn_checkpoint_is_named(share: float, path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    assert "a torn checkpoint, or none at all; delete it to start anew" in refusal(path)


def test_what_no_training_wrote_is_named(path: Path, tmp_path: Path) -> None:
    path.write_text("epochs: 3")
    assert "none at all; delete it" in refusal(path)
    torch.save(torch.nn.Linear(1, 2).state_dict(), path)
    assert "no checkpoint of a training; delete it" in refusal(path)
    (tmp_path / "folder").mkdir()
    assert "cannot be read" in refusal(tmp_path / "folder")


def test_a_checkpoint_of_another_net_or_plan_is_named(path: Path) -> None:
    told = refusal(path, torch.nn.Linear(1, 3))
    assert "a checkpoint of another net; delete it to start anew" in told
    assert "size mismatch for weight" in told and "\n" not in told
    with pytest.raises(ConfigError, match="another plan"):
        other, teacher = msgspec.structs.replace(PLAN, teacher=0.5), torch.nn.Linear(1, 2)
        train(torch.nn.Linear(1, 2), DATA, other, teacher=teacher, checkpoint=path)
    state = torch.load(path, weights_only=True)
    for plan in ("[]", "{}", '{"epochs":0}', '{"epochs":3,"later":1}', "torn"):
        torch.save(state | {"plan": plan}, path)
        assert "a checkpoint of another plan; delete it" in refusal(path)


def test_on_a_full_disk_the_checkpoint_of_before_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, before = tmp_path / "x.pt", []

    def fill(at: TrainingProgress) -> None:
        if (at.epoch, at.step) == (1, 1):
            before.append(path.read_bytes())
            monkeypatch.setattr(os, "fsync", full)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(PerfsuiteError, match=r"x\.pt: the disk is full .* make room"):
        train(torch.nn.Linear(1, 2), DATA, PLAN, checkpoint=path, report=fill)
    assert [path.read_bytes()] == before
    assert list(tmp_path.iterdir()) == [path]


def test_names_with_dots_do_not_meet(tmp_path: Path) -> None:
    (tmp_path / "x.partial").write_text("mine")
    train(torch.nn.Linear(1, 2), DATA, PLAN, checkpoint=tmp_path / "x.1")
    assert (tmp_path / "x.partial").read_text() == "mine"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x.1", "x.partial"]
