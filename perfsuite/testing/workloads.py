"""`check_workload`: the contract of workloads."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.data.labels import misfit
from perfsuite.domain.model import InputSpec, Model, Stage
from perfsuite.domain.task import Inputs, Outputs, Predict, Task, TrainingSet
from perfsuite.domain.workload import Workload
from perfsuite.errors import BuildError, ConfigError, Unsupported
from perfsuite.export.calls import evaluated
from perfsuite.export.state import check_loaded, duplicate, value_parts
from perfsuite.export.wrappers import unwrap_parts, unwrapped, wrapped_parts
from perfsuite.runner.build.alike import answers_alike
from perfsuite.runner.build.identity import structure_of, unstored_parts
from perfsuite.runner.build.reference import graph_outputs, module_outputs
from perfsuite.runner.build.repeatable import answered_twice, check_repeatable_graph
from perfsuite.runner.build.stages import check, paths
from perfsuite.runner.jobs.question import Question
from perfsuite.testing import file_remarks
from perfsuite.testing.counted import warn_of_uncounted
from perfsuite.testing.module_remarks import answers, remarks
from perfsuite.testing.rows import check_rows, check_validation
from perfsuite.testing.samples import require, require_name
from perfsuite.workloads.checked import as_in_runs, is_module, not_made_of, plain, unchecked
from perfsuite.workloads.onnx.tasks import Sampled
from perfsuite.workloads.tasks.preprocessed import preprocessing_fault

if TYPE_CHECKING:
    from torch import nn

CALIBRATED, TRAINED = 4, 2  # samples that are asked for


def check_workload(workload: Workload) -> None:
    """Raise `AssertionError` unless `workload` meets the contract.

    Its name must be usable in keys. Its inputs must be seeded and have the batch's size; its model
    must be the same each time it is built, be in evaluation mode and give finite answers; its
    stages must name modules or methods. Calibration and training samples are tried if its task has
    them, rows and each metric if it has metrics; validation samples must be none of the others. A
    declared preprocessing must be what the task itself does.
    What the workload's own code raises is raised.
    What a torch module has that some engine or pass cannot follow, and what of a model cannot be
    counted, is told by `warnings.warn`.
    """
    require(
        isinstance(workload, Workload),
        f"a perfsuite.Workload was expected, not {type(workload).__name__}; "
        f"return Workload(name, Model(build), task)",
    )
    require_name(workload.name, f"workload '{workload.name}'")
    workload = _plain(workload)
    told = not_made_of(workload)
    require(not told, f"workload '{workload.name}': {told}")
    workload = replace(workload, task=unchecked(workload.task))
    _check_inputs(workload)
    predict = _check_onnx(workload) if workload.model.onnx else _check_module(workload)
    task = workload.task
    _warn_of_alike(workload, predict)
    if type(task).calibration is not Task.calibration and not task.made_up:
        _check_calibration(workload)
    training = _check_train(workload, task, predict)
    require(
        isinstance(task.metrics(), Mapping),
        f"workload '{workload.name}': task.metrics() must return a dict of names and functions of "
        f"the rows, not {type(task.metrics()).__name__}",
    )
    if task.metrics():
        columns = check_rows(workload.name, task, predict)
        check_validation(workload.name, task, predict, columns, training)
    told = preprocessing_fault(task)
    require(not told, f"workload '{workload.name}': {told}")
    in_file = isinstance(task, Sampled)  # the suite tells a file of samples, and its bytes count
    if task.metrics() and not in_file and not task.fingerprint():
        warnings.warn(
            f"workload '{workload.name}': its task tells its data by no fingerprint(), so that its "
            f"samples are answered anew in each run; let it return a text that changes when the "
            f"data do, such as a digest of their files",
            stacklevel=2,
        )
    for label in task.labels:
        warnings.warn(f"workload '{workload.name}': its results say: {label}", stacklevel=2)
    warn_of_uncounted(workload)


def _plain(workload: Workload) -> Workload:
    """Return a workload that was made of a module with one that builds copies of it.

    As in a run, a module in hand may be in training mode, and stays as it is.
    """
    module: Any = workload.model
    if is_module(module):
        model = Model(lambda: evaluated(duplicate(unwrapped(module))))
        workload = replace(workload, model=model)
    return plain(workload)


def _check_inputs(workload: Workload) -> None:
    task, who = workload.task, f"workload '{workload.name}': task.inputs"
    two, again, three = task.inputs(2, 0), task.inputs(2, 0), task.inputs(3, 0)
    for inputs in (two, three):
        require(
            isinstance(inputs, dict)
            and len(inputs) > 0
            and all(isinstance(array, np.ndarray) for array in inputs.values()),
            f"{who}(batch, seed) must return a dict of input name to NumPy array",
        )
    require(
        list(two) == list(three),
        f"{who}: batches of 2 and 3 have the inputs {list(two)} and {list(three)}; "
        f"the names must be the same, in the model's order",
    )
    for name, array in two.items():
        require(
            np.array_equal(array, again[name]),
            f"{who}(2, 0) gives another '{name}' the second time; draw it from "
            f"np.random.default_rng(seed)",
        )
        other = three[name]
        require(
            array.dtype == other.dtype and array.ndim == other.ndim,
            f"{who}: '{name}' is {array.dtype} {array.shape} for a batch of 2, but {other.dtype} "
            f"{other.shape} for one of 3",
        )
        # A graph may have fixed sides, and a model of one sample may have no side that counts any.
        alone = workload.model.batch == 1 and array.shape == other.shape
        if workload.model.onnx is None and not alone:
            require(
                array.shape[:1] == (2,) and other.shape == (3, *array.shape[1:]),
                f"{who}: '{name}' has shape {array.shape} for a batch of 2 and {other.shape} for "
                f"one of 3; its first axis must be the batch, the others the same; a model "
                f"whose inputs have no such axis is a Model(build, batch=1)",
            )


def _check_onnx(workload: Workload) -> Predict:
    path = workload.model.onnx
    require(path is not None and workload.model.build is None, _one_model(workload.name))
    assert path is not None
    spec = _spec(workload)
    given = workload.task.inputs(1, 0)
    wanted = [(item.name, item.dtype) for item in spec]
    found = [(name, str(array.dtype)) for name, array in given.items()]
    require(
        found == wanted,
        f"workload '{workload.name}': task.inputs gives {found}, {path.name} takes {wanted}",
    )
    for count in _sizes(workload, spec):
        _check_sides(workload, spec, count)
    inputs = workload.task.inputs(_sizes(workload, spec)[0], 0)
    try:
        check_repeatable_graph(path, inputs)
    except BuildError as error:
        raise AssertionError(f"workload '{workload.name}': {error}") from error
    for remark in file_remarks.remarks(workload, path, inputs):
        warnings.warn(f"workload '{workload.name}': {remark}", stacklevel=3)
    return lambda inputs: graph_outputs(path, inputs)


def _warn_of_alike(workload: Workload, predict: Predict) -> None:
    count = _sizes(workload, _spec(workload))[0]
    given = [workload.task.inputs(count, seed) for seed in (0, 1)]
    if answers_alike(given, [predict(one) for one in given]):
        warnings.warn(
            f"workload '{workload.name}': it gives different inputs the same answers, to 1e-4 of "
            f"the largest, as with a last layer that is not trained, or a detector that finds "
            f"nothing: that an export or a variant answers like it proves nothing",
            stacklevel=3,
        )


def _spec(workload: Workload) -> tuple[InputSpec, ...]:
    """Return the inputs of an ONNX file; none for a module, whose inputs are its task's."""
    from perfsuite.export.onnx import graph_spec, load_graph

    model = workload.model
    if model.inputs or model.onnx is None:
        return model.inputs
    return graph_spec(load_graph(model.onnx))[0]


def _sizes(workload: Workload, spec: Sequence[InputSpec]) -> tuple[int, ...]:
    """Return sizes of batches that an ONNX file takes."""
    if any("batch" in item.shape for item in spec):
        return 2, 3
    fixed = [item.shape[0] for item in spec if item.shape and not item.per_call]
    only = workload.model.batch or next(iter(fixed), 1)
    return (only if isinstance(only, int) else 1,)


def _check_sides(workload: Workload, spec: Sequence[InputSpec], count: int) -> None:
    """Raise unless inputs for a batch of `count` have the sides that the file's inputs have."""
    given = workload.task.inputs(count, 0)
    for item in spec:
        shape = given[item.name].shape
        sides = tuple(count if side == "batch" else side for side in item.shape)
        require(
            len(shape) == len(sides)
            and all(isinstance(b, str) or a == b for a, b in zip(shape, sides, strict=True)),
            f"workload '{workload.name}': task.inputs gives '{item.name}' the shape {shape} for a "
            f"batch of {count}, and the file takes {item.shape}, where 'batch' is the side that "
            f"counts samples; if that is another one, say so: Model(onnx=..., inputs=("
            f"InputSpec('{item.name}', '{item.dtype}', {shape} with 'batch' in its place), ...))",
        )


def _check_module(workload: Workload) -> Predict:
    from torch import nn

    build, who = workload.model.build, f"workload '{workload.name}': build()"
    if build is None:
        raise AssertionError(_one_model(workload.name))
    with as_in_runs():
        built = build()
    with as_in_runs():
        module, twin = _bare(built), _bare(build())
    require(
        isinstance(module, nn.Module),
        f"{who} must return a torch.nn.Module, not {type(module).__name__}",
    )
    try:
        check_loaded(module, who)
    except ConfigError as error:
        raise AssertionError(str(error)) from error
    training = [name or "the module" for name, part in module.named_modules() if part.training]
    require(
        not training,
        f"{who}: {', '.join(training[:3])} is in training mode; return module.eval()",
    )
    _check_twins(who, module, twin)
    only = workload.model.batch
    inputs = workload.task.inputs(only or 2, 0)
    try:
        outputs, by_chance = answered_twice(module, inputs)
    except BuildError as error:
        if only is None and answers(module, workload.task.inputs(1, 0)):
            raise AssertionError(
                f"{who}: {error}; a batch of 1 it answers: if it takes that alone, say so: "
                f"Model(build, batch=1)"
            ) from error
        raise
    require(not by_chance, f"{who}: {by_chance}")
    others = module_outputs(twin, inputs)
    _check_finite(f"{who}: the module", module, outputs)
    require(
        all(np.array_equal(a, b) for a, b in zip(outputs, others, strict=True)),
        f"{who}: two builds answer differently; nothing random may be left in evaluation mode",
    )
    _check_stages(workload.name, module, workload.model.stages)
    for remark in remarks(workload, built, module, outputs):
        warnings.warn(f"workload '{workload.name}': {remark}", stacklevel=3)
    if only is None:
        return lambda asked: module_outputs(module, asked)
    spec = tuple(InputSpec(name, str(one.dtype), one.shape) for name, one in inputs.items())
    return lambda asked: _in_calls(module, Question(asked, spec, only), only)


def _in_calls(module: nn.Module, question: Question, size: int) -> Outputs:
    """Return the answers to a question in calls of `size` samples, as a run asks."""
    parts, sizes = list[Outputs](), list[int]()
    for start in range(0, question.count, size):
        stop = min(start + size, question.count)
        found = module_outputs(module, question.padded(start, stop, size))
        kept = stop - start
        parts.append(question.cut(found, size, kept) if kept < size else found)
        sizes.append(kept)
    return question.joined(parts, sizes)


def _bare(built: Any) -> Any:
    """Return the net in what was built, as a run takes it; that itself stays as it is."""
    net = unwrapped(built)
    if is_module(net) and wrapped_parts(net):
        net = duplicate(net)
        unwrap_parts(net)
    return net


def _one_model(name: str) -> str:
    return (
        f"workload '{name}': its Model needs either build, a function that returns a "
        f"torch.nn.Module, or onnx, the path of an ONNX file"
    )


def _check_twins(who: str, module: nn.Module, twin: nn.Module) -> None:
    one, other = module.state_dict(), twin.state_dict()
    require(list(one) == list(other), f"{who}: two builds have different parameters")
    for name, tensor in one.items():
        require(
            _alike(tensor, other[name]),
            f"{who}: '{name}' differs between two builds (or is not finite); load trained weights, "
            f"or draw them by torch's random numbers or a seeded generator: caches rely on it",
        )
    lines = (structure_of(one).splitlines() for one in (module, twin))
    changed = next((a for a, b in itertools.zip_longest(*lines) if a != b), None)
    require(
        changed is None,
        f'{who}: two builds differ in what they consist of, such as "{changed}": caches rely on '
        f"builds that are alike",
    )
    require(
        list(unstored_parts(module)) == list(unstored_parts(twin)),
        f"{who}: two builds differ in tensors, arrays or numbers that are no parameters and no "
        f"persistent buffers, but attributes: caches rely on builds that are alike; draw them from "
        f"a seeded generator",
    )


def _alike(one: Any, other: Any) -> bool:
    """Tell whether two values of a state are the same, and finite."""
    from torch import Tensor, strided

    if isinstance(one, Tensor) and one.is_floating_point() and one.layout is strided:
        return one.shape == other.shape and bool((one == other).all())
    return list(value_parts(one)) == list(value_parts(other))


def _check_finite(who: str, module: nn.Module, outputs: Outputs) -> None:
    """Raise unless outputs are finite, but for infinities that the forward means, as of masks."""
    from torch import strided

    require(len(outputs) > 0, f"{who} gives no output")
    weights: Iterator[Any] = itertools.chain(module.parameters(), module.buffers())
    dense = (one if one.layout is strided else one.detach().to_dense() for one in weights)
    meant = all(bool(one.isfinite().all()) for one in dense if one.is_floating_point())
    for index, output in enumerate(outputs):
        if np.issubdtype(output.dtype, np.floating):
            wrong = int((np.isnan(output) if meant else ~np.isfinite(output)).sum())
            require(
                wrong == 0,
                f"{who} gives {wrong} NaN{' or infinite' * (not meant)} values of {output.size} in "
                f"output {index}; look at its weights and at what task.inputs gives",
            )


def _check_stages(name: str, module: nn.Module, stages: tuple[Stage, ...]) -> None:
    try:
        check(f"workload '{name}'", stages, paths(stages, module))
    except ConfigError as error:
        raise AssertionError(str(error)) from error


def _check_calibration(workload: Workload) -> None:
    who, task = f"workload '{workload.name}': task.calibration({CALIBRATED})", workload.task
    batches, again = list(task.calibration(CALIBRATED)), list(task.calibration(CALIBRATED))
    two, three = task.inputs(2, 0), task.inputs(3, 0)
    spec = _spec(workload)
    counting = [item.name for item in spec if not item.per_call] if spec else list(two)
    named = {
        (item.name, axis)
        for item in spec
        for axis, side in enumerate(item.shape)
        if isinstance(side, str)
    }
    alike = [_check_like(who, batch, two, three, named) for batch in batches]
    if not all(alike):
        require(
            spec == (),
            f"{who} and task.inputs give other sizes, where the file has one; shapes must agree",
        )
        warnings.warn(
            f"{who} gives samples of several sizes: what is exported has one, so that only the "
            f"runtime pytorch answers all; bring them to one, or give an ONNX file with these "
            f"sides open",
            stacklevel=3,
        )
    total = sum(_samples(batch, two, three, counting) for batch in batches)
    few = workload.model.onnx is not None and total > 0  # as many as there are in a file
    require(
        total == CALIBRATED or (few and total < CALIBRATED),
        f"{who} yields {total} samples; it must yield as many as it was asked for, in batches",
    )
    same = len(batches) == len(again) and all(
        np.array_equal(one[key], other[key])
        for one, other in zip(batches, again, strict=True)
        for key in one
    )
    require(same, f"{who} yields other samples the second time; take a seeded or fixed choice")


def _check_like(
    who: str, inputs: Inputs, two: Inputs, three: Inputs, open_sides: Set[tuple[str, int]]
) -> bool:
    """Tell whether `inputs` have the sides of calls of two and of three samples.

    Sides that differ between those count samples. Neither are open ones of a file compared. Raises
    unless names, types and numbers of sides are the same.
    """

    def kinds(given: Inputs) -> dict[str, tuple[str, tuple[int | str, ...]]]:
        return {name: (str(array.dtype), sides(name, array.shape)) for name, array in given.items()}

    def sides(name: str, shape: tuple[int, ...]) -> tuple[int | str, ...]:
        if name not in two or len(shape) != two[name].ndim:
            return shape
        lengths = enumerate(zip(shape, two[name].shape, three[name].shape, strict=True))
        return tuple(
            "?" if a != b or (name, axis) in open_sides else one for axis, (one, a, b) in lengths
        )

    told = f"{who} gives {kinds(inputs)}, task.inputs gives {kinds(two)}"
    require(
        [(name, one.dtype, one.ndim) for name, one in inputs.items()]
        == [(name, one.dtype, one.ndim) for name, one in two.items()],
        f"{told}; names, types and shapes must agree",
    )
    return kinds(inputs) == kinds(two)


def _samples(inputs: Inputs, two: Inputs, three: Inputs, counting: Sequence[str]) -> int:
    """Return how many samples a call has, by the first side that differs between two and three.

    Where none does, it is the first of the inputs `counting` samples; a call without any is one.
    """
    for name, array in inputs.items():
        for length, a, b in zip(array.shape, two[name].shape, three[name].shape, strict=True):
            if (a, b) == (2, 3):
                return int(length)
    return next((len(inputs[name]) for name in counting if inputs[name].ndim), 1)


def _check_train(workload: Workload, task: Task, predict: Predict) -> TrainingSet | None:
    """Return the training samples, or None for a task without any."""
    who = f"workload '{workload.name}': task.train()"
    try:
        data = task.train()
    except Unsupported:
        return None
    require(
        len(data.inputs) == len(data.targets) > 0,
        f"{who} has {len(data.inputs)} inputs and {len(data.targets)} targets; there must be "
        f"equally many, and some",
    )
    prepared = data.prepare(data.inputs[:TRAINED], np.random.default_rng(0))
    first = next(iter(task.inputs(len(data.inputs[:TRAINED]), 0).values()))
    require(
        prepared.dtype == np.float32 and prepared.shape == first.shape,
        f"{who}: prepare gives {prepared.dtype} {prepared.shape}; the model takes float32 "
        f"{first.shape}",
    )
    if data.loss is None:  # else its targets are its own affair
        outputs = predict(task.inputs(workload.model.batch or TRAINED, 0))
        told = misfit(data.targets, outputs[0].shape) if len(outputs) == 1 else ""
        require(not told, f"{who}: its targets: {told}")
    return data
