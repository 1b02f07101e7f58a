"""The distilling pass as a whole: its fields, what it learns, how it is taken up again."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from students import students

from perfsuite.config.checking import make_pass
from perfsuite.domain.model import Model
from perfsuite.domain.recipe import Edits, PassContext, PassUse, Target
from perfsuite.domain.task import Task, TrainingSet
from perfsuite.domain.workload import Workload
from perfsuite.errors import BuildError, ConfigError, Unsupported
from perfsuite.passes.distill.distill import Distill
from perfsuite.testing import check_pass
from perfsuite.testing.samples import CLASSES, TRAINING, context, pictures, small_net
from perfsuite.testing.samples import small_workload as noise
from perfsuite.training.plan import AdamPlan, SgdPlan
from perfsuite.training.teaching import Teaching

torch = pytest.importorskip("torch")

PLAN = SgdPlan(
    epochs=4, batch=16, peak_rate=0.05, label_smoothing=0.0, averaging=(3, 0.02), bf16=False,
    teacher=0.9,
)  # fmt: skip
TARGET = Target("fake", "cpu")


@pytest.fixture
def own(tmp_path: Path) -> str:
    return f"{students(tmp_path)}:small"


def given(folder: Path, workload: Workload | None = None, **fields: Any) -> PassContext:
    return dataclasses.replace(context(workload or noise(), TARGET, folder), **fields)


def fitted(pass_: Distill, folder: Path, **fields: Any) -> Edits:
    return pass_.fit(small_net(), given(folder, **fields))


# -- fields ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "missing key `student`"),
        ({"student": "shufflenet-x0.6"}, "unknown student 'shufflenet-x0.6'; did you mean 'shuff"),
        ({"student": 5}, "student: Expected `string`"),
        ({"student": "no/such.py:net"}, "student 'no/such.py:net': there is no file"),
        ({"student": "vgg-narrow", "temperature": 0.0}, "temperature is 0.0; it must be above 0"),
        ({"student": "vgg-narrow", "kind": "dks"}, "kind: 'dks' is none of dkd, kd"),
        ({"student": "vgg-narrow", "beta": 1.0}, "alpha and beta are for kind 'dkd'"),
        ({"student": "vgg-narrow", "train": {"epochs": 1}}, "train: missing key `optimizer`"),
        ({"student": "vgg-narrow", "teacher": 0.5}, "teacher: unknown key"),
    ],
)
def test_wrong_fields_are_told_with_their_place(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        make_pass(PassUse("distill", fields))
    assert message in str(caught.value)
    assert str(caught.value).startswith("pass 'distill': ")


def test_a_students_name_that_its_file_has_not_is_told_without_running_it(tmp_path: Path) -> None:
    path = students(tmp_path, "raise AssertionError")
    with pytest.raises(ConfigError, match=r"my_models.py has no 'smal'; did you mean 'small'\?"):
        make_pass(PassUse("distill", {"student": f"{path}:smal"}))


def test_in_code_a_student_is_a_text_too() -> None:
    with pytest.raises(ValueError, match=r"it must be a name or 'file\.py:name'"):
        Distill(small_net)  # type: ignore[arg-type]


# -- what it makes -----------------------------------------------------------------------------


def test_it_meets_the_contract_of_passes_with_ones_own_student(own: str) -> None:
    check_pass(Distill(own, PLAN))


def test_it_meets_the_contract_of_passes_with_a_student_of_the_table() -> None:
    plan = AdamPlan(epochs=1, batch=32, bf16=False, teacher=0.5)
    check_pass(Distill("shufflenet-x0.5", plan, kind="dkd"))


def test_the_student_learns_what_its_teacher_answers(own: str, tmp_path: Path) -> None:
    images = torch.from_numpy(pictures(TRAINING)["image"])
    labels = torch.arange(TRAINING) % CLASSES

    def distance(pass_: Distill, name: str) -> float:
        edits = fitted(pass_, tmp_path / name)
        student = pass_.rebuild(small_net(), edits).eval()
        with torch.no_grad():
            scores = student(images), small_net()(images)
        return float(Teaching().distance(*scores, labels)[0])

    plan = msgspec.structs.replace(PLAN, epochs=20, teacher=1.0, averaging=None)
    before = distance(Distill(own, untrained=True), "untrained")
    assert distance(Distill(own, plan), "trained") < 0.2 * before


@pytest.mark.parametrize("kind", ["kd", "dkd"])
def test_a_training_that_was_killed_ends_with_the_same_bits(
    own: str, tmp_path: Path, kind: Any
) -> None:
    pass_ = Distill(own, PLAN, kind=kind)

    def kill(done: int, total: int) -> None:
        assert total == 16
        if done == 9:  # in the third epoch, of four steps each
            raise KeyboardInterrupt

    whole = fitted(pass_, tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        fitted(pass_, tmp_path / "killed", progress=kill)
    resumed = fitted(pass_, tmp_path / "killed")
    assert resumed.data == whole.data
    for name, tensor in whole.tensors.items():
        np.testing.assert_array_equal(resumed.tensors[name], tensor, err_msg=name)


def test_it_says_how_long_it_takes_before_it_begins(own: str, tmp_path: Path) -> None:
    told: list[str] = []
    fitted(
        Distill(own, PLAN), tmp_path, say=told.append,
        progress=lambda done, total: told.append("step"),
    )  # fmt: skip
    assert told[0].startswith("training takes about ")
    assert set(told[1:]) == {"step"} and len(told) == 17


def test_an_untrained_student_needs_no_samples_and_says_what_it_is(
    own: str, tmp_path: Path
) -> None:
    def train() -> TrainingSet:
        raise AssertionError("it is not to be trained")

    edits = fitted(Distill(own, untrained=True), tmp_path, train=train)
    assert edits.data == {
        "replaced": {"by": "small", "stages": {}, "labels": ["untrained"]},
        "pictures": None,
    }
    assert not list(tmp_path.glob("checkpoint*"))


def test_stages_and_pictures_are_told(tmp_path: Path) -> None:
    edits = fitted(Distill("vgg-narrow", untrained=True), tmp_path)
    assert edits.data["replaced"]["stages"] == {
        "features": ["features"],
        "classifier": ["flatten", "classifier"],
    }
    assert edits.data["pictures"] == {"channels": 3, "height": 8, "width": 8, "classes": CLASSES}
    staged = Distill(f"{students(tmp_path)}:staged", untrained=True)
    told = fitted(staged, tmp_path).data["replaced"]
    assert told == {
        "by": "staged",
        "stages": {"body": ["body"], "head": ["head"]},
        "labels": ["untrained"],
    }


def test_the_models_weights_do_not_matter_where_it_is_rebuilt(own: str, tmp_path: Path) -> None:
    pass_ = Distill(own, untrained=True)
    edits, seed = fitted(pass_, tmp_path), torch.get_rng_state()
    student = pass_.rebuild(torch.nn.Identity(), edits)
    assert torch.equal(torch.get_rng_state(), seed)
    for name, tensor in student.state_dict().items():
        np.testing.assert_array_equal(tensor.numpy(), edits.tensors[name])


# -- what it refuses ---------------------------------------------------------------------------


class Unlabelled(Task):
    def inputs(self, batch: int, seed: int) -> dict[str, np.ndarray]:
        return pictures(batch, seed)


def test_without_training_samples_it_says_what_can_be_done(own: str, tmp_path: Path) -> None:
    workload = Workload("one", Model(small_net), Unlabelled())
    with pytest.raises(Unsupported, match=r"distill: Unlabelled: this task has no training sampl"):
        Distill(own, PLAN).fit(small_net(), given(tmp_path, workload))
    with pytest.raises(Unsupported, match=r"timed only \(untrained = true\), and int8 and lowrank"):
        Distill(own, PLAN).fit(small_net(), given(tmp_path, workload))


def test_a_loss_of_the_tasks_own_wants_to_know_the_teacher(own: str, tmp_path: Path) -> None:
    data = noise().task.train()

    def loss(module: torch.nn.Module, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.cross_entropy(module(x), y)

    def train() -> TrainingSet:
        return data._replace(loss=loss)

    with pytest.raises(ConfigError, match=r"loss of its own; leave teacher out \(teacher = 0.0\)"):
        fitted(Distill(own, PLAN), tmp_path, train=train)
    alone = msgspec.structs.replace(PLAN, teacher=0.0)
    assert fitted(Distill(own, alone), tmp_path, train=train).tensors


def test_a_training_that_diverges_is_told(own: str, tmp_path: Path) -> None:
    data = noise().task.train()
    spoilt = data._replace(prepare=lambda batch, rng: batch * np.float32(np.nan))
    with pytest.raises(BuildError, match="the loss became nan in epoch 1 of 4"):
        fitted(Distill(own, PLAN), tmp_path, train=lambda: spoilt)


# -- what its key depends on -------------------------------------------------------------------


def test_a_users_student_is_known_by_the_weights_that_it_begins_with(tmp_path: Path) -> None:
    weights = tmp_path / "weights.npy"
    read = f"""
import numpy as np

def filled():
    net = nn.Linear(1, 1)
    nn.init.constant_(net.weight, float(np.load({str(weights)!r})))
    return net
"""
    keys = []
    for place, value in (("a", 1.0), ("b", 2.0), ("c", 1.0)):  # a file is imported once a process
        (tmp_path / place).mkdir()
        np.save(weights, value)
        path = students(tmp_path / place, read)
        keys.append(Distill(f"{path}:filled").resolve(TARGET))
    assert keys[0] == keys[2] != keys[1]
    assert Distill("vgg-narrow").resolve(TARGET) == ""


def test_a_student_that_draws_other_weights_each_time_is_refused(tmp_path: Path) -> None:
    drawn = """
import numpy as np

def drawn():
    net = nn.Linear(1, 1)
    nn.init.constant_(net.weight, np.random.rand())
    return net
"""
    pass_ = Distill(f"{students(tmp_path, drawn)}:drawn")
    with pytest.raises(ConfigError, match="it has other weights each time it is built"):
        pass_.resolve(TARGET)
