"""Trial factors: a net answers with factors in its layers' places as it does with their product.

A net's code may ask what a layer is (`isinstance(layer, nn.Conv2d)`), go through all its modules,
or read a layer's weight. With factors it would then compute something else, often without an error.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from perfsuite.domain.task import Inputs
from perfsuite.passes.lowrank.factor_modules import (
    Method,
    array_of,
    fill,
    kind_of,
    largest_ranks,
    replace,
    sequence,
)
from perfsuite.passes.shared.invocation import call, first_line
from perfsuite.passes.shared.layers import Layer, layer_kinds, watched

if TYPE_CHECKING:
    import torch
    from torch import nn

_RANK = 4  # of trial factors
# Of the greatest value: rounding adds up along a net. In 16 bits it is coarser.
_TOLERANCE, _HALF_TOLERANCE = 1e-3, 5e-2
# The share of values that may differ by more: two proposals of a detector with nearly the same
# score may change places, and then whole rows differ.
_MAY_DIFFER = 0.1
_PRODUCTS = {
    "matrix": ("or,ri->oi", ("restore", "reduce")),
    "tucker": ("or,rshw,si->oihw", ("restore", "core", "reduce")),
    "cp": ("or,rh,rw,ri->oihw", ("restore", "vertical", "horizontal", "reduce")),
}

Factors = Mapping[str, np.ndarray]  # the weights of a `sequence`, by name


def unfaithful(
    model: nn.Module, layers: Sequence[Layer], method: Method, samples: Sequence[Inputs]
) -> dict[str, str]:
    """Return the layers that factors cannot stand for, with the reason, by path.

    With some factors in its layers' places, the net must answer the samples as it does with the
    products of these factors as weights, in every layer. All layers are tried at once; if that
    fails, each is tried alone, and then together with those before it. `model` is left as it was.
    """
    trials = [(layer, _factors(layer, method)) for layer in layers if layer.path]

    def failure(some: Sequence[tuple[Layer, Factors]]) -> str:
        return _failure(model, some, method, samples)

    if not trials or not failure(trials):
        return {}
    refused = {trial[0].path: why for trial in trials if (why := failure([trial]))}
    good = [trial for trial in trials if trial[0].path not in refused]
    if not good or (refused and not failure(good)):
        return refused
    together: list[tuple[Layer, Factors]] = []
    for trial in good:
        if why := failure([*together, trial]):
            refused[trial[0].path] = why
        else:
            together.append(trial)
    return refused


def _factors(layer: Layer, method: Method) -> Factors:
    """Return seeded factors of a low rank whose product is as large as the layer's weight."""
    made = sequence(layer.module, _ranks(layer, method), method)
    rng = np.random.default_rng(0)
    found = {
        name: rng.normal(size=tuple(weight.shape))
        for name, weight in made.named_parameters()
        if name.endswith("weight")
    }
    size = np.linalg.norm(_product(layer, found, method)) or 1.0
    found["restore.weight"] *= np.linalg.norm(array_of(layer.module)) / size
    return found


def _product(layer: Layer, factors: Factors, method: Method) -> np.ndarray:
    """Return the weight of the one layer that the factors make."""
    formula, names = _PRODUCTS[kind_of(layer.module, method)]
    terms = formula.partition("->")[0].split(",")
    weights = (factors[f"{name}.weight"] for name in names)
    parts = [_with_axes(weight, term) for weight, term in zip(weights, terms, strict=True)]
    product: np.ndarray = np.einsum(formula, *parts)
    return product.reshape(tuple(layer.module.weight.shape))


def _with_axes(weight: np.ndarray, term: str) -> np.ndarray:
    """Return a factor's weight with the axes of `term` alone; the others are 1 long."""
    if len(term) == weight.ndim:
        return weight
    if term[1] in "hw":  # of a kernel along one axis: (rank, 1, high, 1) or (rank, 1, 1, wide)
        return weight.reshape(len(weight), -1)
    return weight.reshape(weight.shape[:2])


def _failure(
    model: nn.Module,
    trials: Sequence[tuple[Layer, Factors]],
    method: Method,
    samples: Sequence[Inputs],
) -> str:
    """Return how the net answers otherwise with factors than with their products; '' if alike."""
    paths = [path for path, one in model.named_modules() if path and isinstance(one, layer_kinds())]
    for inputs in samples:
        with _products(trials, method):
            expected = _results(model, paths, inputs)
        tolerance = _tolerance([*model.parameters(), *expected.values()])
        try:
            with _in_place(model, trials, method):
                found = _results(model, paths, inputs)
                # Without hooks some modules take another path, as torch's encoders do.
                call(model, inputs)
        except AttributeError:
            return "code outside of the layer reads its attributes"
        except Exception as error:  # noqa: BLE001 - a module may raise anything; it is the reason
            return f"with factors in its place the model fails: {first_line(error)}"
        for path, wanted in expected.items():
            if path not in found:
                return f"with factors in its place {path} is not called"
            if _differ(wanted, found[path], tolerance):
                return (
                    f"with factors in its place {path} answers otherwise than with their product: "
                    f"the model's code depends on what the layer is"
                )
    return ""


def _tolerance(computed: Sequence[torch.Tensor]) -> float:
    """Return by how much values may differ, of weights and results; autocast gives halves, too."""
    half = any(one.is_floating_point() and one.element_size() < 4 for one in computed)
    return _HALF_TOLERANCE if half else _TOLERANCE


def _differ(wanted: torch.Tensor, result: torch.Tensor, tolerance: float) -> bool:
    if wanted.shape != result.shape:
        return True
    if not wanted.numel():
        return False
    wanted, result = wanted.float(), result.float()
    limit = tolerance * float(wanted.abs().max()) + 1e-12
    return float(((wanted - result).abs() > limit).float().mean()) > _MAY_DIFFER


def _results(model: nn.Module, paths: Sequence[str], inputs: Inputs) -> dict[str, torch.Tensor]:
    """Return the first results of what is called at `paths`, and the net's outputs."""
    seen: dict[str, torch.Tensor] = {}

    def note(path: str, given: torch.Tensor, result: torch.Tensor) -> None:
        if path not in seen:
            seen[path] = result.detach().clone()

    with watched({path: model.get_submodule(path) for path in paths}, note):
        outputs = call(model, inputs)
    for index, tensor in enumerate(outputs):
        seen[f"output {index}"] = tensor.detach()
    return seen


@contextmanager
def _products(trials: Sequence[tuple[Layer, Factors]], method: Method) -> Iterator[None]:
    """Give the layers the products of their factors as weights, within the context."""
    import torch

    before = [layer.module.weight.detach().clone() for layer, _ in trials]
    try:
        with torch.no_grad():
            for layer, factors in trials:
                layer.module.weight.copy_(torch.from_numpy(_product(layer, factors, method)))
        yield
    finally:
        with torch.no_grad():
            for (layer, _), weight in zip(trials, before, strict=True):
                layer.module.weight.copy_(weight)


@contextmanager
def _in_place(
    model: nn.Module, trials: Sequence[tuple[Layer, Factors]], method: Method
) -> Iterator[None]:
    """Put the factors in the layers' places, within the context."""
    try:
        for layer, factors in trials:
            made = sequence(layer.module, _ranks(layer, method), method)
            replace(model, layer.path, fill(made, layer.module, factors))
        yield
    finally:
        for layer, _ in trials:
            replace(model, layer.path, layer.module)


def _ranks(layer: Layer, method: Method) -> tuple[int, ...]:
    return tuple(min(_RANK, most) for most in largest_ranks(layer.module, method))
