"""What each layer or stage of a net costs and gains if it alone is compressed."""

from __future__ import annotations

from typing import Literal

import msgspec

By = Literal["layer", "stage"]


class Changeable(msgspec.Struct, frozen=True):
    """The layers that a pass can change one by one, and why others cannot be.

    `layers` are in the net's order, by names that the pass's field `layers` takes.
    """

    layers: tuple[str, ...]
    left: dict[str, str] = {}


class Answer(msgspec.Struct, frozen=True):
    """What a workload says that is to be compressed in parts, found out where it is loaded.

    `stages` maps each stage to its layers, among those of `changeable`; of an engine that runs no
    model there are no layers, and it holds the paths that the workload declares. `trains` and
    `validates` tell whether its task has samples to train on and for validation.
    """

    changeable: Changeable
    stages: dict[str, tuple[str, ...]] = {}
    trains: bool = False
    validates: bool = False


class Unit(msgspec.Struct, frozen=True):
    """A layer or stage that one recipe of a run compresses alone, by one pass."""

    name: str
    use: str  # the pass
    recipe: str
    layers: tuple[str, ...]


class Sensitivity(msgspec.Struct, frozen=True):
    """What a run asks: its units, in the net's order, and what each pass leaves alone, and why.

    It `validates` if what is lost is known by a metric on validation samples. Otherwise the error
    of the outputs is all that is known.
    """

    by: By
    units: tuple[Unit, ...]
    left: dict[str, dict[str, str]] = {}  # by pass, then by layer
    validates: bool = True
