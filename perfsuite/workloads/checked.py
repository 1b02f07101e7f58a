"""A workload whose every answer is checked, so that a mistake in it is told as one."""

from __future__ import annotations

import numbers
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from perfsuite.domain.model import Model
from perfsuite.domain.pictures import Shown
from perfsuite.domain.preprocessing import Preprocessing
from perfsuite.domain.task import (
    Inputs,
    Outputs,
    Predict,
    RowsMetric,
    SubsetMetric,
    Task,
    TrainingSet,
)
from perfsuite.domain.workload import Workload
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.export.state import check_loaded, duplicate, on_processor
from perfsuite.export.wrappers import is_program, unwrap_parts, unwrapped, wrapped_weights
from perfsuite.user_code import kind_of, require_type, user_code, user_items
from perfsuite.workloads.tasks.batches import Batches

if TYPE_CHECKING:
    import torch
    from torch import nn

_SEED = 0


def checked(workload: Workload) -> Workload:
    """Return `workload` with its code called through `user_code`, and what that gives checked.

    Raises `ConfigError` where model or task are none.
    """
    workload = plain(workload)
    name, model, task = workload.name, workload.model, workload.task
    if told := not_made_of(workload):
        raise ConfigError(f"workload '{name}': {told}")
    with user_code(f"{name}: its metric_name"):
        metric_name = task.metric_name
    if not isinstance(metric_name, str):
        raise ConfigError(f"{name}: its metric_name must be a text, not {kind_of(metric_name)}")
    if model.build is not None:
        model = replace(model, build=_checked_build(name, model.build))
    return replace(workload, model=model, task=CheckedTask(name, task, metric_name))


def plain(workload: Workload) -> Workload:
    """Return a workload that was made of a torch module, or of a data loader, as any other."""
    model: object = workload.model
    task: object = workload.task
    if is_module(model):
        workload = replace(workload, model=Model(lambda: cast("nn.Module", model)))
    if not isinstance(task, Task) and isinstance(task, Iterable) and not isinstance(task, str):
        workload = replace(workload, task=Batches(task))
    return workload


def not_made_of(workload: Workload) -> str:
    """Return what is wrong with the kinds of a workload's model and task; '' if nothing is."""
    for what, found, wanted in (("model", workload.model, Model), ("task", workload.task, Task)):
        if not isinstance(found, wanted):
            told = f"its {what} must be a perfsuite.{wanted.__name__}, not {kind_of(found)}"
            if what == "task" and hasattr(found, "__getitem__"):
                told += (
                    "; a data set gives samples: give what makes batches of them, such as "
                    "torch.utils.data.DataLoader(dataset, batch_size=16)"
                )
            return told
    return ""


def is_module(found: object) -> bool:
    """Tell whether it is a torch module, or an exported one; whoever has one has loaded torch."""
    torch = sys.modules.get("torch")
    return torch is not None and (isinstance(found, torch.nn.Module) or is_program(found))


def unchecked(task: Task) -> Task:
    """Return a user's task itself, also where it was checked."""
    return task.task if isinstance(task, CheckedTask) else task


def shows(task: Task) -> bool:
    """Tell whether a task has a method that shows test samples; it is not called."""
    return type(unchecked(task)).shown is not Task.shown


@contextmanager
def as_in_runs() -> Iterator[None]:
    """Let a `build` draw the weights that it draws without a seed alike in each process."""
    from torch import random

    with wrapped_weights(), random.fork_rng(devices=[]):
        random.manual_seed(_SEED)
        yield


def _checked_build(name: str, build: Callable[[], nn.Module]) -> Callable[[], nn.Module]:
    def built() -> nn.Module:
        from torch import nn

        whose = f"{name}: its build()"
        with user_code(whose), as_in_runs():
            module = build()
        found = require_type(unwrapped(module), nn.Module, whose, "a torch.nn.Module")
        del module
        check_loaded(found, whose)
        free = object()
        # If somebody is to give it, or parts of it, again, what a pass changes in them would be
        # changed for the reference, too.
        if _is_held(found, free) and _shares_tensors(found, unwrapped(build())):
            with user_code(f"{name}: copying the module that its build() gives each time"):
                found = duplicate(found)
        unwrap_parts(found)
        return on_processor(found)

    return built


def _is_held(net: nn.Module, free: object) -> bool:
    """Tell whether something else than `net` itself may refer to it, or to a part with tensors.

    `free` is an object that the caller alone holds, as it does `net`: how many references a call
    takes depends on the interpreter.
    """
    nothing = object()
    inner = [part for part in net.modules() if part is not net and _has_tensors(part)]
    counts = {id(one): sys.getrefcount(one) for one in [nothing, free, net, *inner]}
    own = Counter(id(child) for part in net.modules() for child in part._modules.values())
    most = counts[id(nothing)]  # with its name, as those inside are in a list
    return counts[id(net)] > counts[id(free)] or any(
        counts[id(part)] - own[id(part)] > most for part in inner
    )


def _has_tensors(module: nn.Module) -> bool:
    return next(_tensors(module), None) is not None


def _shares_tensors(one: nn.Module, other: nn.Module) -> bool:
    return not {id(tensor) for tensor in _tensors(one)}.isdisjoint(map(id, _tensors(other)))


def _tensors(module: nn.Module) -> Iterator[torch.Tensor]:
    yield from module.parameters()
    yield from module.buffers()


class CheckedTask(Task):
    """A task that calls another one through `user_code`, and checks what it gives.

    Raises `BuildError` for what the other raises, `ConfigError` for what is of a wrong type.
    """

    def __init__(self, name: str, task: Task, metric_name: str) -> None:
        self._name, self.task = name, task
        self.metric_name = metric_name

    @property
    def labels(self) -> tuple[str, ...]:  # type: ignore[override]
        """Return what the task says, which may have to load its data first."""
        whose = f"{self._name}: its labels"
        with user_code(whose):
            found = self.task.labels
        return tuple(require_type(one, str, whose, "texts") for one in found)

    @property
    def made_up(self) -> bool:  # type: ignore[override]
        """Return whether the task's inputs are made up."""
        with user_code(f"{self._name}: its made_up"):
            return bool(self.task.made_up)

    def inputs(self, batch: int, seed: int) -> Inputs:
        """Return what the task gives: named arrays, at least one."""
        with self._named(), user_code(self._whose("inputs")):
            found = self.task.inputs(batch, seed)
        return self._inputs("inputs", found)

    def calibration(self, samples: int) -> Iterator[Inputs]:
        """Yield what the task yields: named arrays."""
        given = user_items(self._whose("calibration"), lambda: self.task.calibration(samples))
        with self._named():
            for item in given:
                yield self._inputs("calibration", item)

    @property
    def trains(self) -> bool:
        """Return what the task says: whether it gives training samples."""
        with user_code(f"{self._name}: its trains"):
            return bool(self.task.trains)

    def train(self) -> TrainingSet:
        """Return the task's training set, the functions of which are checked, too."""
        whose = self._whose("train")
        with self._named(), user_code(whose):
            found = self.task.train()
        data = require_type(found, TrainingSet, whose, "a perfsuite.TrainingSet")
        if len(data.inputs) != len(data.targets):
            raise ConfigError(
                f"{whose} gives {len(data.inputs)} inputs and {len(data.targets)} targets; there "
                f"must be as many of these as of those"
            )
        loss = None if data.loss is None else self._loss("loss", data.loss)
        taught = data.taught
        if taught is not None and not hasattr(taught, "lesson"):  # which gives what is called
            taught = self._loss("taught", taught)
        return data._replace(prepare=self._prepare(data.prepare), loss=loss, taught=taught)

    def _prepare(
        self, prepare: Callable[[np.ndarray, np.random.Generator], np.ndarray]
    ) -> Callable[[np.ndarray, np.random.Generator], np.ndarray]:
        whose = f"{self._name}: prepare of its training set"

        def prepared(batch: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            with user_code(whose):
                found = prepare(batch, rng)
            return require_type(found, np.ndarray, whose, "a NumPy array")

        return prepared

    def _loss(self, name: str, loss: Callable[..., Any]) -> Callable[..., Any]:
        whose = f"{self._name}: {name} of its training set"

        def lost(*given: Any) -> Any:
            import torch

            with user_code(whose):
                found = loss(*given)
            return require_type(found, torch.Tensor, whose, "a torch.Tensor")

        return lost

    def rows(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return what the task gives: an array with one row of numbers a sample."""
        whose = self._whose("rows")
        with self._named(), user_code(whose):
            found = self.task.rows(predict, samples)
        return _rows(found, whose)

    def validation(self, predict: Predict, samples: int | None = None) -> np.ndarray:
        """Return what the task gives: an array with one row of numbers a sample."""
        whose = self._whose("validation")
        with self._named(), user_code(whose):
            found = self.task.validation(predict, samples)
        return _rows(found, whose)

    def held_out(self) -> np.ndarray | None:
        """Return what the task gives: None, or the places of training samples."""
        whose, words = self._whose("held_out"), "None or an array of places of training samples"
        with user_code(whose):
            found = self.task.held_out()
        if found is None:
            return None
        places = require_type(found, np.ndarray, whose, words)
        if places.ndim != 1 or places.dtype.kind not in "iu":
            raise ConfigError(
                f"{whose} must give {words}, whole numbers from 0, not {places.dtype} "
                f"{places.shape}; of a mask take numpy.flatnonzero(mask)"
            )
        return places

    def metrics(self) -> Mapping[str, RowsMetric]:
        """Return the task's metrics, which are checked, too."""
        whose = self._whose("metrics")
        with user_code(whose):
            found = self.task.metrics()
        words = "a dict of metric name to function of the rows"
        if not isinstance(found, Mapping):
            raise ConfigError(f"{whose} must give {words}, not {kind_of(found)}")
        for name, metric in found.items():
            require_type(name, str, whose, words)
            if not callable(metric):
                raise ConfigError(f"{whose} must give {words}, not {kind_of(metric)}")
        return {name: self._metric(name, metric) for name, metric in found.items()}

    def metric(self, rows: np.ndarray) -> float:
        """Return what the task makes of the rows: a number."""
        with self._named():
            return self._measured(self._whose("metric"), self.task.metric, rows)

    def _metric(self, name: str, metric: RowsMetric) -> RowsMetric:
        if isinstance(metric, SubsetMetric):
            return replace(metric, metric=self._metric(name, metric.metric))
        return partial(self._measured, f"{self._name}: its metric '{name}'", metric)

    @staticmethod
    def _measured(whose: str, metric: RowsMetric, rows: np.ndarray) -> float:
        with user_code(whose):
            found = metric(rows)
        return _number(found, whose)

    def right(self, rows: np.ndarray) -> np.ndarray | None:
        """Return what the task says: None, or one truth value a row."""
        whose, words = self._whose("right"), "None or an array of one truth value a row"
        with user_code(whose):
            found = self.task.right(rows)
        if found is None:
            return None
        right = require_type(found, np.ndarray, whose, words)
        if right.shape != (len(rows),) or right.dtype != bool:
            raise ConfigError(
                f"{whose} must give {words}, ({len(rows)},), not {right.dtype} {right.shape}"
            )
        return right

    def shown(
        self,
        predict: Predict,
        rows: np.ndarray,
        places: Sequence[int],
        samples: int | None = None,
    ) -> list[Shown]:
        """Return what the task shows: a picture for each of the places."""
        whose, words = self._whose("shown"), "a list of perfsuite.Shown"
        with self._named(), user_code(whose):
            found = self.task.shown(predict, rows, places, samples)
        shown = [
            require_type(one, Shown, whose, words)
            for one in require_type(found, list, whose, words)
        ]
        if len(shown) != len(places):
            raise ConfigError(f"{whose} gives {len(shown)} samples of {len(places)} places")
        return shown

    def from_picture(self, picture: np.ndarray) -> Inputs:
        """Return what the task makes of a picture: named arrays."""
        with self._named(), user_code(self._whose("from_picture")):
            found = self.task.from_picture(picture)
        return self._inputs("from_picture", found)

    def preprocessing(self) -> Preprocessing | None:
        """Return what the task declares, if anything."""
        whose = self._whose("preprocessing")
        with user_code(whose):
            found = self.task.preprocessing()
        if found is None:
            return None
        return require_type(found, Preprocessing, whose, "a perfsuite.Preprocessing, or None")

    def agreement(
        self, expected: Outputs, answered: Outputs, precision: str
    ) -> dict[str, float] | None:
        """Return what the task says: None, or a number an output."""
        whose = self._whose("agreement")
        with user_code(whose):
            found = self.task.agreement(expected, answered, precision)
        if found is None:
            return None
        items = require_type(found, dict, whose, "None or a dict of output name to number").items()
        return {str(output): _number(value, whose) for output, value in items}

    def fingerprint(self) -> str:
        """Return what the task tells its data by: a text."""
        whose = self._whose("fingerprint")
        with user_code(whose):
            found = self.task.fingerprint()
        return require_type(found, str, whose, "a text")

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Have what the task does not define told of the workload, and not of the task's class."""
        try:
            yield
        except Unsupported as error:
            kind, colon, told = str(error).partition(": ")
            if kind != type(self.task).__name__ or not colon:
                raise
            raise Unsupported(f"{self._name}: {told}") from error

    def _whose(self, method: str) -> str:
        return f"{self._name}: its {method}()"

    def _inputs(self, method: str, found: object) -> Inputs:
        whose = self._whose(method)
        inputs = require_type(found, dict, whose, "a dict of input name to NumPy array")
        if not inputs:
            raise ConfigError(f"{whose} gives no input; the model takes at least one array")
        for name, array in inputs.items():
            require_type(name, str, whose, "a text as the name of each input")
            require_type(array, np.ndarray, whose, f"a NumPy array as '{name}'")
        return inputs


def _rows(found: object, whose: str) -> np.ndarray:
    """Return rows; raise `ConfigError` for what is none."""
    rows = require_type(found, np.ndarray, whose, "a NumPy array (samples, columns)")
    if rows.ndim != 2 or rows.dtype.kind not in "fiub":
        raise ConfigError(
            f"{whose} must give numbers as an array (samples, columns), one row a sample, not "
            f"{rows.dtype} {rows.shape}"
        )
    return rows


def _number(value: object, whose: str) -> float:
    """Return `value` as a float; NumPy's numbers and arrays of one are numbers, too."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    if isinstance(value, numbers.Real | np.bool_):
        return float(value)
    raise ConfigError(f"{whose} must give a number, not {kind_of(value)}")
