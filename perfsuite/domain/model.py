"""Models: how they are built, their inputs, and their stages."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from torch import nn


# What a user says of the sides of inputs, by name: a number, "batch" for the one that counts
# samples, "?" for one that samples decide.
GivenShapes = Mapping[str, Sequence[int | str]]


class InputSpec(msgspec.Struct, frozen=True):
    """One named input: a NumPy dtype and a shape in which a name marks a dynamic dimension.

    The dimension that counts the samples of a call is named `batch`; it is mostly the first. An
    input that is given once for all samples of a call, such as a threshold, is `per_call`.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    per_call: bool = False


class Stage(msgspec.Struct, frozen=True):
    """A named part of a model: the module-path prefixes that belong to it; the longest wins.

    A prefix may also be the path of a method, such as `rpn.filter_proposals`.
    """

    name: str
    modules: tuple[str, ...]


@dataclass(frozen=True)
class Model:
    """A network, as a function that builds it or as an ONNX file.

    Exactly one is given: `build`, which returns a `torch.nn.Module` with its weights loaded (or
    drawn, after a fixed seed), or `onnx`, the path of the file. `stages` may be empty. `batch` is
    the only batch size that the model takes, for the reason `why_batch` if one is known; None if it
    takes any. `inputs` are those of a file that leaves it open which dimension counts the samples.
    """

    build: Callable[[], nn.Module] | None = None
    onnx: Path | None = None
    stages: tuple[Stage, ...] = ()
    batch: int | None = None
    why_batch: str = ""
    inputs: tuple[InputSpec, ...] = ()
