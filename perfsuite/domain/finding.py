"""What is wrong with the libraries underneath, and how to mend it."""

from __future__ import annotations

from typing import Literal

import msgspec


class Finding(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is wrong, found in what ran or in the machine.

    `name` is stable, such as `onednn-reference-kernel`; `about` is whose it is: a library, an
    engine, or the machine. `message` says what and where, `fix` what to do. A `caution` may cost
    speed; a `fault` does, or falsifies what is measured.
    """

    name: str
    about: str
    message: str
    fix: str
    how: Literal["observed", "reported", "inferred"]
    severity: Literal["fault", "caution"] = "fault"


class LayerKernel(msgspec.Struct, frozen=True, omit_defaults=True):
    """The kernel that computes one layer: whose it is, and which instruction set it uses.

    `layer` is the path of the module, or the node's name in an ONNX file. What the engine does not
    tell is empty. `instruction_set` is as people say it, such as `AVX-512 VNNI`. `shapes` are those
    of what the layer is given: the value, then the weights.
    """

    layer: str
    operator: str  # such as "Conv" or "convolution"
    kernel: str  # as the engine or the library calls it
    library: str = ""
    instruction_set: str = ""
    precision: str = ""
    how: Literal["observed", "reported", "inferred"] = "observed"
    shapes: tuple[tuple[int, ...], ...] = ()
