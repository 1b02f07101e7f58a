"""New weights for a cut net, so that its layers answer as they did before; no labels are needed.

Layer after layer, in the order of a call, the weights are fitted by least squares: from the layer's
input in the cut net to its result in the whole net (He, Zhang and Sun 2017, arXiv:1707.06168,
section 3.1.2). The input is that of the net as cut and fitted so far, so that errors do not add up.
Fine-tuning then needs fewer epochs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from perfsuite.domain.task import Inputs
from perfsuite.errors import BuildError, ConfigError
from perfsuite.export.calls import called
from perfsuite.passes.shared.layers import layers_of
from perfsuite.training.averaging import norms_of, settling

if TYPE_CHECKING:
    import torch
    from torch import nn

# The ridge penalty, relative to the mean square of the inputs: without it, few samples would be
# fitted exactly.
RIDGE = 0.01
PLACES = 64  # used of each picture, on average; neighbours are nearly alike
_MOST = 8192  # inputs of a layer's result; the matrix of their products must fit into memory


class _Enough(Exception):
    """Raised to end a call at the layer whose inputs were wanted."""


def reconstruct(
    model: nn.Module,
    whole: nn.Module,
    kept: Mapping[str, Sequence[int] | np.ndarray],
    batches: Sequence[Inputs],
    progress: Callable[[int, int], None],
) -> None:
    """Fit the weights of `model`, cut from `whole`, and then the statistics of its norms.

    `kept` has the channels that a cut layer of `model` still has in its result, by path. A layer is
    left as it is if its input has not changed; if the first dimension of its input is not the batch
    (after a detector has chosen its proposals, the rows of both nets are not the same); if it is
    grouped or too large; and if its class is a user's own. Statistics are taken over the batches
    that are as long as the first. Raises `ConfigError` if there are no batches, `BuildError` for
    answers that are not finite.
    """
    if not batches:
        raise ConfigError(
            "prune: reconstruct needs calibration samples, and the task yields none; let "
            "calibration(samples) yield some, or leave reconstruct out"
        )
    model.eval()
    whole.eval()
    calls, origin = _calls(model, batches[0]), dict(whole.named_modules())
    for done, (path, count) in enumerate(calls.items()):
        progress(done, len(calls))
        if path in origin and _fits(model.get_submodule(path)):
            _fit(model, whole, path, count, kept.get(path), batches)
    _settle(model, batches)


def _calls(model: nn.Module, inputs: Inputs) -> dict[str, int]:
    """Return how often layers are called, by path, in the order of their first calls.

    A user's subclass of a layer may compute anything, and is left out.
    """
    from torch import nn

    return {
        path: len(layer.calls)
        for path, layer in layers_of(model, inputs).items()
        if type(layer.module) in (nn.Conv2d, nn.Linear)
    }


def _fits(layer: Any) -> bool:
    return getattr(layer, "groups", 1) == 1 and layer.weight[0].numel() <= _MOST


def _fit(
    model: nn.Module,
    whole: nn.Module,
    path: str,
    calls: int,
    kept: Sequence[int] | np.ndarray | None,
    batches: Sequence[Inputs],
) -> None:
    """Fit one layer by least squares, with a ridge penalty on changes of its weights."""
    import torch

    layer: Any = model.get_submodule(path)
    original: Any = whole.get_submodule(path)
    sums: list[torch.Tensor] = []
    changed = False
    for inputs in batches:
        given, wanted = (_given(net, path, calls, inputs) for net in (model, whole))
        count = _length(inputs)
        if len(given) != len(wanted) or any(len(each) != count for each in (*given, *wanted)):
            return
        for mine, theirs in zip(given, wanted, strict=True):
            with torch.no_grad():
                target, missing = _missing(path, layer, original(theirs), layer(mine), kept)
            changed = changed or float(missing.abs().max()) > 1e-4 * float(target.abs().max())
            errors = _flat(layer, missing)
            places = _places(errors, len(missing))
            rows, errors = _rows(layer, mine)[places], errors[places]
            pair = rows.T @ rows, rows.T @ errors
            sums = [a + b for a, b in zip(sums, pair, strict=True)] if sums else list(pair)
        if not changed:
            return
    squares, products = sums
    ridge = RIDGE * squares.diagonal().mean()
    if not ridge:
        return  # all inputs are zero
    step = torch.linalg.solve(squares + ridge * torch.eye(len(squares)), products)
    with torch.no_grad():
        layer.weight.add_(step.T.reshape(layer.weight.shape))


def _missing(
    path: str,
    layer: Any,
    wanted: torch.Tensor,
    result: torch.Tensor,
    kept: Sequence[int] | np.ndarray | None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the channels `kept` of a layer's wanted result, and what `result` lacks of them."""
    import torch

    if kept is not None:
        wanted = wanted.index_select(_axis(layer), torch.as_tensor(np.asarray(kept)))
    missing = wanted - result
    if not bool(missing.isfinite().all()):
        raise BuildError(
            f"prune: {path} answers NaN or infinite values on the calibration samples; check the "
            f"model's weights"
        )
    return wanted, missing


def _given(model: nn.Module, path: str, calls: int, inputs: Inputs) -> list[torch.Tensor]:
    """Return the inputs of a layer's first `calls` calls; the rest of the net is not computed.

    One that is given without a batch, as where a net takes pictures one by one, is a batch of one.
    """
    import torch

    found: list[torch.Tensor] = []

    def record(layer: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> None:
        first = given[0] if given else named["input"]
        alone = first.ndim == len(getattr(layer, "kernel_size", ())) + 1
        found.append((first[None] if alone else first).detach().clone())
        if len(found) == calls:
            raise _Enough

    handle = model.get_submodule(path).register_forward_pre_hook(record, with_kwargs=True)
    try:
        with torch.no_grad():
            called(model, inputs)
    except _Enough:
        pass
    finally:
        handle.remove()
    return found


def _axis(layer: Any) -> int:
    """Return the axis of a layer's channels: the last, or that before the places of pictures."""
    return 1 if hasattr(layer, "kernel_size") else -1


def _places(rows: torch.Tensor, samples: int) -> torch.Tensor | slice:
    """Return the rows to use: all, or of large pictures a random part."""
    import torch

    most = samples * PLACES
    if len(rows) <= most:
        return slice(None)
    return torch.from_numpy(np.random.default_rng(0).permutation(len(rows))[:most])


def _rows(layer: Any, given: torch.Tensor) -> torch.Tensor:
    """Return the inputs of the weights, one row for each place where they are applied."""
    import torch

    if _axis(layer) == -1:
        return given.flatten(0, -2)
    padding = layer.padding if not isinstance(layer.padding, str) else None
    if padding is None or layer.padding_mode != "zeros":
        padding = (0, 0)
        given = _padded(layer, given)
    columns = torch.nn.functional.unfold(
        given, layer.kernel_size, layer.dilation, padding, layer.stride
    )
    return columns.transpose(1, 2).flatten(0, 1)


def _padded(layer: Any, given: torch.Tensor) -> torch.Tensor:
    import torch

    mode = "constant" if layer.padding_mode == "zeros" else layer.padding_mode
    return torch.nn.functional.pad(given, layer._reversed_padding_repeated_twice, mode=mode)


def _flat(layer: Any, values: torch.Tensor) -> torch.Tensor:
    """Return a layer's result, one row for each place."""
    return values.movedim(_axis(layer), -1).flatten(0, -2)


def _settle(model: nn.Module, batches: Sequence[Inputs]) -> None:
    """Set the norms' statistics to their mean over the batches.

    A shorter batch at the end is left out. Where batches are single samples, so are norms of
    vectors, as one value has no variance.
    """
    import torch
    from torch import nn

    count = _length(batches[0])
    norms = [norm for norm in norms_of(model) if count > 1 or not isinstance(norm, nn.BatchNorm1d)]
    with settling(norms), torch.no_grad():
        for inputs in batches:
            if _length(inputs) == count:
                called(model, inputs)


def _length(inputs: Inputs) -> int:
    return len(next(iter(inputs.values())))
