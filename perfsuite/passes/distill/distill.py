"""Knowledge distillation: a smaller net takes the model's place and learns from its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import msgspec

from perfsuite.domain.recipe import Edits, PassContext, Target
from perfsuite.domain.task import UNTRAINED
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.export.state import as_arrays, from_arrays, load
from perfsuite.models.students import Pictures
from perfsuite.passes.distill.fitting import check_fits, pictures_of
from perfsuite.passes.distill.student import Made, check_student, is_of_table, make, state_key
from perfsuite.training.finetune import fine_tune
from perfsuite.training.loop import TrainingProgress
from perfsuite.training.plan import AdamPlan, SgdPlan
from perfsuite.training.teaching import Kind, Teaching

if TYPE_CHECKING:
    from torch import nn

# A teacher is to be patient (Beyer et al. 2022, arXiv:2106.05237); its weight and temperature are
# those of the comparison of Tian, Krishnan and Isola (2020, arXiv:1910.10699).
PLAN = SgdPlan(
    epochs=60, batch=128, peak_rate=0.1, label_smoothing=0.0, averaging=(48, 0.02), teacher=0.9
)


class Distill(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Trains a student to answer as the model does, and puts it in the model's place.

    `student` is one of the table (`perfsuite.models.students`) or a user's own, as `file.py:name`:
    a function that returns a torch module, or a `perfsuite.Model`, with stages of its own. It must
    take the model's inputs and give outputs of the same names and shapes. Those of the table
    classify pictures; the number of classes is that of the model's answer.

    `train` says how it is trained, and its field `teacher` how much the model's answers weigh in
    the loss beside the labels: with 0 it learns from the labels alone. `kind`, `temperature`,
    `alpha` and `beta` are those of `Teaching`. With `untrained` the student stays as it is
    initialized: it is there to be timed, and its results bear a label that says so.
    """

    student: str
    train: SgdPlan | AdamPlan = PLAN
    kind: Kind = "kd"
    temperature: float = 4.0
    alpha: float = 1.0
    beta: float = 8.0
    untrained: bool = False

    version: ClassVar[int] = 1
    replaces: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not isinstance(self.student, str):
            raise ValueError(f"student is {self.student!r}; it must be a name or 'file.py:name'")
        try:
            check_student(self.student)
        except ConfigError as error:
            raise ValueError(str(error)) from error
        self._teaching()

    def resolve(self, target: Target) -> str:
        """Return a key of the weights that a user's own student begins with; '' for others."""
        return "" if is_of_table(self.student) else state_key(self.student, self.train.seed)

    def fit(self, model: nn.Module, ctx: PassContext) -> Edits:
        """Return all tensors of the trained student; `data` says what it is, and for what pictures.

        Raises `ConfigError` for a student that does not fit the model, `Unsupported` for a model
        that no net of the table can replace, and for a task without training samples.
        """
        pictures = None
        if is_of_table(self.student):
            pictures = pictures_of(self.student, model, ctx.inputs)
        made = make(self.student, pictures, self.train.seed)
        check_fits(self.student, made.module, model, ctx.inputs)
        if not self.untrained:
            self._teach(made.module, model, ctx)
        return Edits(self._data(made, pictures), as_arrays(made.module))

    def rebuild(self, model: nn.Module, edits: Edits) -> nn.Module:
        """Return the student, built anew, with the edits' tensors; nothing of `model` is used."""
        pictures = msgspec.convert(edits.data["pictures"], Pictures | None)
        module = make(self.student, pictures, self.train.seed).module
        load(module, from_arrays(module, edits.tensors))
        return module

    def _teaching(self) -> Teaching:
        return Teaching(self.kind, self.temperature, self.alpha, self.beta)

    def _teach(self, student: nn.Module, teacher: nn.Module, ctx: PassContext) -> None:
        plan = self.train
        try:
            data = ctx.train()
        except Unsupported as error:
            raise Unsupported(
                f"distill: {error}; without them a student can be timed only (untrained = true), "
                f"and int8 and lowrank, which need no training, compress the model as it is"
            ) from error
        teacher.requires_grad_(False)

        def report(at: TrainingProgress) -> None:
            ctx.progress(at.epoch * at.steps + at.step, plan.epochs * at.steps)

        fine_tune(
            student,
            data,
            plan,
            teacher=teacher,
            teaching=self._teaching(),
            checkpoint=ctx.checkpoint,
            report=report,
            say=ctx.say,
        )

    def _data(self, made: Made, pictures: Pictures | None) -> dict[str, Any]:
        """Return what the edits tell beside the tensors."""
        stages = {stage.name: list(stage.modules) for stage in made.stages}
        labels = [UNTRAINED] if self.untrained else []
        name = self.student.rpartition(":")[2]
        return {
            "replaced": {"by": name, "stages": stages, "labels": labels},
            "pictures": msgspec.to_builtins(pictures),
        }
