"""Trial cuts: the net is run without some of each group's channels, to see whether they may go.

The groups come from a graph that may be wrong about a net, for one where an operation mixes
channels unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from traceback import walk_tb
from typing import TYPE_CHECKING

import msgspec

from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError
from perfsuite.passes.prune.channels import Group
from perfsuite.passes.prune.operations import is_users, quoted
from perfsuite.passes.prune.surgery import Kept, cut, masked
from perfsuite.passes.shared.invocation import call, copied, first_line
from perfsuite.passes.shared.layers import layer_kinds, watched

if TYPE_CHECKING:
    import torch
    from torch import nn

# Of the greatest value. A convolution of another size may use another algorithm.
_TOLERANCE = 1e-3
# The share of values that may differ by more: two proposals of a detector with nearly the same
# score may change places, and then whole rows differ.
_MAY_DIFFER = 0.1


def cuttable_groups(
    model: nn.Module, groups: Sequence[Group], samples: Iterable[Inputs]
) -> tuple[list[Group], dict[str, str]]:
    """Return the groups that can be cut, and the reasons why the others cannot, by name.

    In every layer, a net without some channels must answer as the whole net does with zeros in
    their place. All groups are tried at once. If that fails, each is tried alone, and then together
    with those before it: of two branches that are added, either may be removed, but not both.

    Raises `BuildError` for a model that fails on a sample as it is.
    """
    inputs = list(samples)
    varying = _varying(model, inputs)
    refused = _refused(model, groups, _halves, inputs)
    if varying:
        hint = f"; not all inputs take the same path: {varying[0]} is called for some of them only"
        refused = {name: reason + hint for name, reason in refused.items()}
    good = [group for group in groups if group.name not in refused]
    stay = _refused(model, [group for group in good if group.removable], _nothing, inputs)
    return [
        msgspec.structs.replace(group, removable=group.removable and group.name not in stay)
        for group in good
    ], refused


def _varying(model: nn.Module, samples: Sequence[Inputs]) -> list[str]:
    """Return the layers that are called for some samples and not for others."""
    try:
        called = [set(_layers(copied(model), inputs)) for inputs in samples]
    except Exception as error:  # whatever a user's module raises
        raise BuildError(
            f"prune: {type(model).__name__} fails on the task's samples, as it is: "
            f"{first_line(error)}"
        ) from error
    return sorted({path for some in called for path in some if not all(path in s for s in called)})


def _refused(
    model: nn.Module,
    groups: Sequence[Group],
    kept: Callable[[Group], list[int]],
    samples: Sequence[Inputs],
) -> dict[str, str]:
    """Return the groups that cannot be cut down to the channels `kept`, with the reason."""

    def failure(some: Sequence[Group]) -> str:
        return _failure(model, some, {group.name: kept(group) for group in some}, samples)

    if not groups or not failure(groups):
        return {}
    refused = {group.name: reason for group in groups if (reason := failure([group]))}
    good = [group for group in groups if group.name not in refused]
    if refused and not failure(good):
        return refused
    together: list[Group] = []
    for group in good:
        if reason := failure([*together, group]):
            refused[group.name] = reason
        else:
            together.append(group)
    return refused


def _halves(group: Group) -> list[int]:
    """Return every second channel."""
    return list(range(0, group.width, 2))


def _nothing(group: Group) -> list[int]:
    return []


def _failure(
    model: nn.Module, groups: Sequence[Group], kept: Kept, samples: Sequence[Inputs]
) -> str:
    """Return how the cut net's answers differ from those with zeros; '' if they do not."""
    zeros, smaller = copied(model), copied(model)
    try:
        masked(zeros, groups, kept)
        replaced = cut(smaller, groups, kept)
        differences = (
            _difference(model, _layers(zeros, inputs), _layers(smaller, inputs), replaced)
            for inputs in samples
        )
        return next((difference for difference in differences if difference), "")
    except Exception as error:  # noqa: BLE001 - a module may raise anything; it is the reason
        where = _where(error)
        hint = f"; {_HINT}" if where else ""
        return f"without some of its channels the model fails: {first_line(error)}{where}{hint}"


_HINT = (
    "numbers of channels in the code must come of the tensors (x.shape[1], or -1 in a view), or be "
    "attributes of the module"
)


def _where(error: BaseException) -> str:
    """Return the innermost line of a user's code that an error came through, in brackets."""
    lines = [
        quoted(frame.f_code.co_filename, number)
        for frame, number in walk_tb(error.__traceback__)
        if is_users(frame.f_code.co_filename)
    ]
    return f" ({lines[-1]})" if lines else ""


def _difference(
    model: nn.Module,
    expected: dict[str, torch.Tensor],
    found: dict[str, torch.Tensor],
    replaced: Sequence[str],
) -> str:
    """Return how the layers' results differ from the expected ones; '' if they do not."""
    for path, wanted in expected.items():
        result = found.get(path)
        if path in replaced:
            continue
        if result is None:
            return f"without some of its channels {path or 'the model'} gives nothing"
        if wanted.shape == result.shape and _differ(wanted, result):
            return f"without some of its channels {_told(model, path)} answers otherwise"
        if wanted.shape != result.shape and path.startswith(_OUTPUT):
            return "its channels are an output of the model"
    return ""


def _told(model: nn.Module, path: str) -> str:
    """Return the path of a layer, with its kind if that is none of torch's own."""
    if not path or path.startswith(_OUTPUT):
        return path or "the model"
    kind = type(model.get_submodule(path))
    own = not kind.__module__.startswith("torch.")
    return f"{path} (a {kind.__name__})" if own else path


def _differ(wanted: torch.Tensor, result: torch.Tensor) -> bool:
    if not wanted.numel():  # as of a picture without a detection
        return False
    limit = _TOLERANCE * float(wanted.abs().max()) + 1e-12
    return float(((wanted - result).abs() > limit).float().mean()) > _MAY_DIFFER


_OUTPUT = "output "  # no module's path has a space


def _layers(model: nn.Module, inputs: Inputs) -> dict[str, torch.Tensor]:
    """Return the results of the layers' first calls, by path, and the model's outputs."""
    seen: dict[str, torch.Tensor] = {}

    def note(path: str, given: torch.Tensor, result: torch.Tensor) -> None:
        if path not in seen:
            seen[path] = result.detach().clone()

    modules = {path: m for path, m in model.named_modules() if isinstance(m, layer_kinds())}
    with watched(modules, note):
        outputs = call(model, inputs)
    for index, tensor in enumerate(outputs):
        seen[f"{_OUTPUT}{index}"] = tensor.float()
    return seen
