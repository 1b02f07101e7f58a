"""What a torch module has that perfsuite works round, or that some engine or pass cannot follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.task import Inputs, Outputs, Task
from perfsuite.domain.workload import Workload
from perfsuite.errors import PerfsuiteError
from perfsuite.export.calls import called, copies, evaluated, tensor_of
from perfsuite.export.calls import caller as caller_of
from perfsuite.export.value_reads import reads_values
from perfsuite.export.wrappers import eagerly, scripted_part, unwrapped, wrapped_parts
from perfsuite.runner.build.reference import module_outputs
from perfsuite.runner.build.repeatable import put_back
from perfsuite.user_code import user_code
from perfsuite.workloads.checked import unchecked

if TYPE_CHECKING:
    from torch import nn


def remarks(workload: Workload, built: Any, module: nn.Module, outputs: Outputs) -> Iterator[str]:
    """Yield sentences on `module`, which was taken out of what was `built` and answers `outputs`.

    The answers are those to the inputs of `Model.batch` samples, or of two.
    """
    if (net := unwrapped(built)) is not built:
        yield f"build() gives a {type(built).__name__}; perfsuite takes the net out of it"
    for path, wrapper in wrapped_parts(net).items():
        yield f"{path or 'the module'} is in {wrapper}; perfsuite takes it out"
    if scripted := scripted_part(module):
        yield (
            f"'{scripted}' is TorchScript: the net does not export to ONNX, prune cannot follow "
            f"its calls, and only the runtime pytorch takes it; leave it as it is in build()"
        )
    yield from _of_weights(module)
    yield from _of_hidden(module)
    only = workload.model.batch
    inputs = workload.task.inputs(only or 2, 0)
    if _changes(module, inputs):
        yield (
            "its forward changes its inputs in place; it gets copies of them, which are not timed"
        )
    if _reads_values(module, inputs):
        yield (
            "its forward reads values of its input in Python, as by `if x.max() > 0`, or sizes "
            "that follow from them: where only the tracing exporter takes that, graphs keep for "
            "good what one input gave, and a run names the lines; torch.where and torch.cond stay "
            "open"
        )
    later = _only_while_training(module, inputs)
    if later:
        yield (
            f"'{later[0]}' is called in training mode alone: prune with finetune keeps all "
            f"channels that it reads"
        )
    if only is None and not answers(module, workload.task.inputs(1, 0)):
        yield "it answers a batch of 2, and none of 1; if it takes one size alone: Model(batch=2)"
    infinite = [index for index, one in enumerate(outputs) if _is_infinite(one)]
    if infinite:
        yield (
            f"its output {infinite[0]} has infinite values: if they are no mask's, look at its "
            f"weights; what layers read must be finite to be rounded to INT8"
        )
    compared = type(unchecked(workload.task)).agreement is not Task.agreement
    if not compared and any(output.shape[:1] != (only or 2,) for output in outputs):
        yield (
            "not all of its outputs have one row a sample: where their order or number has no "
            "meaning, as of detections, let Task.agreement say how they are compared"
        )


def _is_infinite(output: np.ndarray) -> bool:
    return output.dtype.kind == "f" and bool(np.isinf(output).any())


def _of_weights(module: nn.Module) -> Iterator[str]:
    weights = {one.dtype for one in module.parameters() if one.is_floating_point()}
    if weights and all(dtype.itemsize != 4 for dtype in weights):
        words = " and ".join(sorted(str(one).removeprefix("torch.") for one in weights))
        yield f"its weights are {words}: it cannot run in fp32; let build() return net.float()"
    for path, part in module.named_modules():
        if type(part).__module__.startswith("torch.") and ".quantized." in type(part).__module__:
            yield (
                f"'{path}' is quantized by torch, and does not export to ONNX: only the runtime "
                f"pytorch takes it; the pass int8 takes the float module"
            )
            return


def _of_hidden(module: nn.Module) -> Iterator[str]:
    """Tell of modules that a list or a dict hides from torch."""
    import torch

    known = {id(part) for part in module.modules()}
    usual = vars(torch.nn.Module()).keys()
    for path, part in module.named_modules():
        for name, value in vars(part).items():
            held = value.values() if isinstance(value, dict) else value
            if name in usual or not isinstance(value, list | tuple | dict):
                continue
            if any(isinstance(one, torch.nn.Module) and id(one) not in known for one in held):
                yield (
                    f"'{f'{path}.{name}'.lstrip('.')}' holds modules in a {type(value).__name__}, "
                    f"where torch does not find them: they do not follow eval(), passes leave them "
                    f"as they are, and their parameters are not counted; torch.nn.ModuleList holds "
                    f"such"
                )


def _changes(module: nn.Module, inputs: Inputs) -> bool:
    """Tell whether a call changes the arrays that it is given."""
    import torch

    given = copies(inputs)
    with torch.no_grad(), eagerly():
        caller_of(module, list(given))([tensor_of(array) for array in given.values()])
    return any(not np.array_equal(given[name], inputs[name], equal_nan=True) for name in inputs)


def _reads_values(module: nn.Module, inputs: Inputs) -> bool:
    """Tell whether a call takes numbers out of what it is given; NumPy and lists hide that."""
    if scripted_part(module):
        return False  # it does not export anyway
    call, given = caller_of(module, list(inputs)), copies(inputs).values()
    with eagerly():
        return bool(reads_values(lambda *one: call(list(one)), [tensor_of(one) for one in given]))


def _only_while_training(module: nn.Module, inputs: Inputs) -> list[str]:
    """Return the parts that are called in training mode and not otherwise; none if that fails."""
    import torch

    if any(isinstance(part, torch.jit.ScriptModule) for part in module.modules()):
        return []  # torch tells nobody which parts of such a module are called
    modes = [(part, part.training) for part in module.modules()]
    try:
        with put_back(module), torch.no_grad(), torch.random.fork_rng(devices=[]):
            usual = _calls(evaluated(module), inputs)
            module.train()
            with user_code("training mode"):
                trained = _calls(module, inputs)
    except PerfsuiteError:
        return []
    finally:
        for part, training in modes:
            part.training = training
    return [path for path in trained if path not in usual]


def _calls(module: nn.Module, inputs: Inputs) -> list[str]:
    seen: list[str] = []

    def note(path: str) -> Callable[..., None]:
        return lambda *_: seen.append(path)

    with ExitStack() as stack:
        for path, part in module.named_modules():
            if path and next(part.parameters(), None) is not None:
                stack.callback(part.register_forward_hook(note(path)).remove)
        called(module, inputs)
    return seen


def answers(module: nn.Module, inputs: Inputs) -> bool:
    """Tell whether a module can be called with these inputs."""
    try:
        module_outputs(module, inputs)
    except PerfsuiteError:
        return False
    return True
