"""The table of recipes that a search tries: add one by a line of `ROWS`.

Each is combined with the ways to run a net (`ways.py`), so that INT8 is not repeated here, nor
fewer boxes for a detector to choose from. Recipes that train nothing are tried first; of those that
train, it is measured first how fast they would be, of the net as it is before its training.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.survey import Survey
from perfsuite.search.ways import Way

UNTRAINED = "untrained"  # the end of the names of recipes that are only timed


class Schedule(msgspec.Struct, frozen=True):
    """How a row is trained: at most so many `epochs`, and the fields of its plan.

    From the share `steady` of the epochs on the rate stays at `last_rate`, and the mean of the
    weights is taken. Below `least` epochs it is not worth beginning.
    """

    epochs: int
    least: int
    peak_rate: float
    teacher: float
    steady: float
    last_rate: float


_TUNED = Schedule(30, 3, peak_rate=0.05, teacher=0.7, steady=2 / 3, last_rate=0.01)
_TAUGHT = Schedule(60, 10, peak_rate=0.1, teacher=0.9, steady=0.8, last_rate=0.02)


class Row(msgspec.Struct, frozen=True):
    """One pass on the module, with its `fields`, and how it is trained, if it is.

    To be timed it has the fields `untrained` as well; to be trained those of `trained`, and a plan
    in the field `plan`. A row for some `workloads` alone, whose plan is among its fields, is tried
    only where its training is in the cache.
    """

    name: str
    use: str
    fields: dict[str, Any]
    schedule: Schedule | None = None
    plan: str = ""
    untrained: dict[str, Any] = {}
    trained: dict[str, Any] = {}
    workloads: tuple[str, ...] = ()


def _prune(percent: int) -> Row:
    """Return the row that keeps so many percent of the MACs, chosen by the engine's clock."""
    return Row(
        f"prune-{percent}",
        "prune",
        {"macs": percent / 100},
        _TUNED,
        plan="finetune",
        untrained={"importance": "l2"},
        trained={"importance": "taylor", "reconstruct": 500},
    )


def _distill(student: str) -> Row:
    """Return the row that puts a net of the table of students in the model's place."""
    return Row(
        f"distill-{student}",
        "distill",
        {"student": student},
        _TAUGHT,
        plan="train",
        untrained={"untrained": True},
    )


# As the recipe `quarter` of benchmarks/prune.toml, whose training comes with perfsuite.
_QUARTER_OF_VGG = {
    "macs": 0.25,
    "scope": "global",
    "round_to": 16,
    "reconstruct": 500,
    "finetune": {
        "optimizer": "sgd",
        "epochs": 48,
        "batch": 128,
        "peak_rate": 0.1,
        "label_smoothing": 0.0,
        "cutouts": [[0, 8]],
        "averaging": [38, 0.02],
        "teacher": 0.7,
    },
}

# As the recipe `shufflenet` of benchmarks/distill.toml, whose training comes with perfsuite.
_SHUFFLENET_OF_VGG = {
    "student": "shufflenet-x1.0",
    "train": {
        "optimizer": "sgd",
        "epochs": 60,
        "batch": 256,
        "peak_rate": 0.2,
        "label_smoothing": 0.0,
        "cutouts": [[0, 8]],
        "averaging": [48, 0.04],
        "teacher": 0.9,
    },
}

# As the recipe `binary` of benchmarks/binary.toml, whose trainings come with perfsuite.
_BINARY = {
    "activations": {
        "optimizer": "adam",
        "epochs": 28,
        "batch": 256,
        "peak_rate": 0.003,
        "weight_decay": 1e-5,
        "label_smoothing": 0.0,
        "teacher": 0.9,
    },
    "weights": {
        "optimizer": "adam",
        "epochs": 34,
        "batch": 256,
        "peak_rate": 0.003,
        "weight_decay": 0.0,
        "label_smoothing": 0.0,
        "teacher": 0.9,
    },
}

ROWS: tuple[Row, ...] = (
    Row("lowrank", "lowrank", {"energy": 0.95}),
    Row("fitted-75", "prune", {"macs": 0.75, "importance": "l2", "reconstruct": 500}),
    Row("trained-25", "prune", _QUARTER_OF_VGG, workloads=("vgg16-cifar10",)),
    Row("trained-shufflenet", "distill", _SHUFFLENET_OF_VGG, workloads=("vgg16-cifar10",)),
    Row("trained-binary", "binarize", _BINARY, workloads=("vgg16-cifar10", "resnet10")),
    _prune(50),
    _prune(25),
    _prune(12),
)
# Passes that choose by the clock of one engine, so that one net serves all: the field that says it.
_BY_CLOCK = {"prune": "runtime", "lowrank": "runtime"}


def rows(workload: str, survey: Survey) -> list[Row]:
    """Return the rows for a workload, the least compression first; each student is one more.

    Students that detect are for detectors, as `survey` tells them, and the others are not.
    """
    from perfsuite.models.students import STUDENTS

    detects = survey.boxes > 0
    students = (name for name, make in STUDENTS.items() if make().detects == detects)
    table = (*ROWS, *map(_distill, students))
    return [row for row in table if not row.workloads or workload in row.workloads]


def hears_clock(row: Row) -> bool:
    """Tell whether a row's pass chooses by the clock of an engine, which takes a while."""
    return row.use in _BY_CLOCK and not row.workloads


def recipe(
    row: Row | None, way: Way, clock: str = "", plan: Mapping[str, Any] | None = None
) -> ResolvedRecipe:
    """Return the recipe of a row, run in one way; without a row, that of the net as it is.

    `clock` is the reference of the engine by whose times a pass chooses. Without a `plan` a row
    that trains is only to be timed, and its recipe's name says so.
    """
    first = (module_pass(row, clock, plan),) if row is not None else ()
    words = [row.name] if row is not None else []
    words += [way.suffix] if way.suffix else []
    words += [UNTRAINED] if row is not None and row.schedule and plan is None else []
    if not words:
        return FP32
    return ResolvedRecipe("-".join(words), (*first, *way.last))


def module_pass(row: Row, clock: str, plan: Mapping[str, Any] | None = None) -> PassUse:
    """Return the row's pass on the module, with its plan or to be timed only.

    A row for some workloads alone has the fields that it was trained with, on whatever engines.
    """
    fields = dict(row.fields)
    if row.schedule is not None:
        fields |= row.untrained if plan is None else {**row.trained, row.plan: dict(plan)}
    if clock and hears_clock(row):
        fields.setdefault(_BY_CLOCK[row.use], clock)
    return PassUse(row.use, fields)


def plan_of(schedule: Schedule, epochs: int, survey: Survey) -> dict[str, Any]:
    """Return the plan of a training of so many epochs, by whichever suits what the task learns.

    Tasks with a loss of their own train by Adam on small batches, as detectors do.
    """
    samples = survey.training_samples
    if survey.own_loss:
        return {
            "optimizer": "adam",
            "epochs": epochs,
            "batch": min(8, samples),
            "peak_rate": 1e-3,
            "weight_decay": 0.02,
            "bf16": False,
            "teacher": 0.5 if survey.taught else 0.0,
        }
    plan: dict[str, Any] = {
        "optimizer": "sgd",
        "epochs": epochs,
        "batch": min(128, samples),
        "peak_rate": schedule.peak_rate,
        "label_smoothing": 0.0,
        "teacher": schedule.teacher,
    }
    steady = round(schedule.steady * epochs)
    if 0 < steady < epochs:
        plan["averaging"] = [steady, schedule.last_rate]
    return plan
