"""Fine-tuning with a teacher: its loss by hand, what it leaves alone, what it refuses."""

from __future__ import annotations

import copy
from math import log
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from alike import assert_alike

from perfsuite.domain.task import TrainingSet
from perfsuite.errors import ConfigError
from perfsuite.training import finetune
from perfsuite.training.classifying import classifying
from perfsuite.training.device import VARIABLE, placed, training_device
from perfsuite.training.finetune import fine_tune
from perfsuite.training.loop import AdamPlan, SgdPlan, TrainingProgress, train
from perfsuite.training.teaching import Teaching

torch = pytest.importorskip("torch")

PLAN = SgdPlan(epochs=3, batch=4, peak_rate=0.1, weight_decay=0.0, bf16=False, teacher=0.5)
POINTS = np.linspace(-1, 1, 16, dtype=np.float32)[:, None]
DATA = TrainingSet(POINTS, (POINTS[:, 0] > 0).astype(np.uint8), lambda batch, rng: batch)


def scoring(first: float, second: float = 0.0) -> torch.nn.Module:
    """Return a net that gives the two classes these scores, whatever its input."""
    net = torch.nn.Linear(1, 2)
    with torch.no_grad():
        net.weight.zero_()
        net.bias.copy_(torch.tensor([first, second]))
    return net


def normed() -> torch.nn.Module:
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.BatchNorm1d(1), torch.nn.Linear(1, 2))


def test_the_loss_by_hand() -> None:
    # Divided by 4, the student's scores are those of 3/4 and 1/4, the teacher's of 1/2 and 1/2.
    student, teacher = scoring(4 * log(3)), scoring(0)
    plan = msgspec.structs.replace(PLAN, teacher=0.25, label_smoothing=0.1)
    hard = -0.95 * log(81 / 82) - 0.05 * log(1 / 82)  # undivided: 3^4 to 1; the label is the first
    soft = (log(0.5 / 0.75) + log(0.5 / 0.25)) / 2
    labels = torch.zeros(4, dtype=torch.uint8)
    loss, blind = classifying(student, teacher, torch.zeros(4, 1), labels, plan)
    assert loss.item() == pytest.approx(0.75 * hard + 0.25 * 16 * soft)
    assert blind == pytest.approx(0.75 * log(2))  # as sure as the teacher, who knows nothing

    loss, blind = classifying(student, None, torch.zeros(4, 1), labels, plan)
    assert (loss.item(), blind) == (pytest.approx(hard), pytest.approx(log(2)))

    _, blind = classifying(teacher, student, torch.zeros(4, 1), labels, plan)
    sure = 0.75 * log(0.75 / 0.5) + 0.25 * log(0.25 / 0.5)
    assert blind == pytest.approx(0.75 * log(2) + 0.25 * 16 * sure)


def test_pixels_that_have_classes_each_count_as_their_mean() -> None:
    student, teacher = torch.nn.Identity(), torch.nn.Softmax(dim=1)
    one = torch.tensor([[2.0, 0.0]])
    many = one[:, :, None].expand(1, 2, 5)
    loss, blind = classifying(student, teacher, one, torch.zeros(1, dtype=int), PLAN)
    losses, blinds = classifying(student, teacher, many, torch.zeros(1, 5, dtype=int), PLAN)
    assert (losses.item(), blinds) == (pytest.approx(loss.item()), pytest.approx(blind))


def test_a_student_learns_what_its_teacher_says_and_not_the_labels() -> None:
    plan = AdamPlan(epochs=60, batch=16, peak_rate=0.2, weight_decay=0.0, bf16=False, teacher=1.0)
    student, teacher = scoring(-3), scoring(2)
    fine_tune(student, DATA, plan, teacher=teacher)
    gap = student(torch.tensor([[-1.0], [1.0]])).detach().diff(dim=1)
    assert gap.flatten().tolist() == pytest.approx([-2.0, -2.0], abs=0.2)
    assert not student.training


def test_the_teacher_stays_as_it_is_and_out_of_the_checkpoint(tmp_path: Path) -> None:
    teacher, student, path = normed(), normed(), tmp_path / "x.pt"
    before = copy.deepcopy(teacher.state_dict())
    fine_tune(student, DATA, PLAN, teacher=teacher, checkpoint=path)
    assert not teacher.training
    assert all(torch.equal(value, before[name]) for name, value in teacher.state_dict().items())
    assert all(weight.grad is None for weight in teacher.parameters())
    assert not torch.equal(student[1].weight, before["1.weight"])
    state = torch.load(path, weights_only=True)
    assert state["module"].keys() == before.keys()
    assert set(state) == {"plan", "epochs", "losses", "module", "optimizer", "mean"}
    assert state["mean"] is None


def test_a_killed_fine_tuning_ends_where_an_undisturbed_one_does(tmp_path: Path) -> None:
    teacher, whole, killed, resumed = scoring(2), normed(), normed(), normed()
    fine_tune(whole, DATA, PLAN, teacher=teacher)

    def kill(at: TrainingProgress) -> None:
        if (at.epoch, at.step) == (1, 2):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(killed, DATA, PLAN, teacher=teacher, checkpoint=tmp_path / "x.pt", report=kill)
    fine_tune(resumed, DATA, PLAN, teacher=teacher, checkpoint=tmp_path / "x.pt")
    assert_alike(resumed.state_dict(), whole.state_dict())


def test_without_weight_a_teacher_is_not_asked() -> None:
    def ask(*_: object) -> None:
        raise AssertionError

    teacher, alone, beside = scoring(2), normed(), normed()
    teacher.register_forward_hook(ask)
    plan = msgspec.structs.replace(PLAN, teacher=0.0)
    fine_tune(beside, DATA, plan, teacher=teacher)
    train(alone, DATA, plan)
    assert_alike(alone[1].weight, beside[1].weight)


def test_a_loss_of_the_tasks_own_has_no_teacher_unless_it_says_what_one_counts() -> None:
    own = DATA._replace(loss=lambda module, x, y: module(x).square().mean())
    with pytest.raises(ConfigError, match=r"leave teacher out .*, or let .*TrainingSet\.taught"):
        fine_tune(normed(), own, PLAN, teacher=scoring(2))
    student = scoring(2)
    fine_tune(student, own, msgspec.structs.replace(PLAN, teacher=0.0), teacher=scoring(2))
    assert student.bias[0].item() < 2


def test_a_loss_of_the_tasks_own_with_a_teacher_is_the_whole_loss() -> None:
    def refused(*_: object) -> torch.Tensor:
        raise AssertionError

    def taught(
        student: torch.nn.Module, teacher: torch.nn.Module, x: torch.Tensor, y: torch.Tensor
    ) -> torch.Tensor:
        assert not teacher.training and student.training
        return (student(x) - teacher(x).detach()).square().mean()

    student, teacher = scoring(0), scoring(2, -1)
    plan = AdamPlan(epochs=60, batch=16, peak_rate=0.2, weight_decay=0.0, bf16=False, teacher=0.01)
    own = DATA._replace(loss=refused, taught=taught)
    fine_tune(student, own, plan, teacher=teacher, teaching=Teaching())
    assert student.bias.tolist() == pytest.approx([2.0, -1.0], abs=0.1)
    with pytest.raises(ConfigError, match=r"compare the scores of classifiers; .* leave them out"):
        fine_tune(student, own, plan, teacher=teacher, teaching=Teaching("dkd"))


def test_how_long_it_takes_is_said_before_it_begins_and_not_where_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finetune, "training_s", lambda *_: 42 * 60.0)
    told: list[object] = []

    def kill(at: TrainingProgress) -> None:
        told.append((at.epoch, at.step))
        if at.epoch == 1:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "x.pt"
    with pytest.raises(KeyboardInterrupt):
        fine_tune(
            normed(), DATA, PLAN, teacher=scoring(2), checkpoint=checkpoint, report=kill,
            say=told.append,
        )  # fmt: skip
    assert told == ["training takes about 42 min", (0, 1), (0, 2), (0, 3), (0, 4), (1, 1)]
    told.clear()
    fine_tune(normed(), DATA, PLAN, teacher=scoring(2), checkpoint=checkpoint, say=told.append)
    assert told == []


def test_a_teacher_that_is_missing_or_the_student_itself_is_a_mistake() -> None:
    net = normed()
    for teacher in (None, net):
        with pytest.raises(ValueError, match="there must be another net"):
            fine_tune(net, DATA, PLAN, teacher=teacher)


def test_a_device_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "cpu")
    assert training_device() == "cpu"
    monkeypatch.setenv(VARIABLE, "abacus")
    with pytest.raises(ConfigError, match="PERFSUITE_TRAIN_DEVICE: torch cannot train on 'abacus'"):
        training_device()
    monkeypatch.delenv(VARIABLE)
    assert training_device() == ("cuda" if torch.cuda.is_available() else "cpu")


def test_nets_are_trained_where_the_device_says_and_come_back() -> None:
    moved: list[str] = []

    class Net(torch.nn.Module):
        def to(self, *args: Any, **kwargs: Any) -> Any:
            moved.extend(args)
            return self

    with pytest.raises(KeyboardInterrupt), placed("card", Net(), None, Net()):
        raise KeyboardInterrupt
    assert moved == ["card", "card", "cpu", "cpu"]
