"""What is written into artifacts does not change without their version."""

from __future__ import annotations

import hashlib

import msgspec
from binary_graphs import SAME, Chain, residual, vgg

from perfsuite.export.binary_operator import ConvGeometry
from perfsuite.runtimes.binary.cut import cut
from perfsuite.runtimes.binary.runtime import PerfsuiteBinary

# The version, and the digest of what it writes of the nets below.
WRITTEN = (3, "31bac4927ab4711b88e816209ce70cec9a8ce9457b50ae75bdeaeb8f94c7a1a0")


def mixed() -> object:
    """Return a net with groups, a real layer, and what ONNX Runtime computes."""
    net = Chain((24, 8, 8))
    net.binary(24, ConvGeometry((3, 3), pads=(1, 1, 1, 1), group=2))
    net.norm()
    net.node("Sigmoid", net.here)
    net.convolution(12, ConvGeometry((3, 3), (2, 1), (1, 2, 0, 1)), bias=True)
    net.binary(24, SAME)
    return net.head(5)


def test_other_files_have_another_version() -> None:
    found = hashlib.sha256()
    for model in (vgg((16, 70, "M", 128), side=8), residual((16, 32), 1, side=8), mixed()):
        made = cut(model)  # type: ignore[arg-type]
        found.update(msgspec.json.encode(made.plan))
        for name, numbers in made.tensors.items():
            found.update(f"{name} {numbers.dtype} {numbers.shape}".encode())
            found.update(numbers.tobytes())
    assert (PerfsuiteBinary.artifact_version, found.hexdigest()) == WRITTEN, (
        "what is written has changed: raise PerfsuiteBinary.artifact_version, and note its digest"
    )
