"""What a trace keeps for good of a `forward` that looks at numbers is told, with its places."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.export.frozen import frozen_in_files, frozen_places
from perfsuite.export.onnx import export_graph

torch = pytest.importorskip("torch")


def told(filename: str, line: int, message: str, kind: type[Warning]) -> warnings.WarningMessage:
    return warnings.WarningMessage(kind(message), kind, filename, line)


def test_places_are_told_once_and_packages_are_left_out() -> None:
    tracer = torch.jit.TracerWarning
    branch = "Converting a tensor to a Python boolean might cause the trace to be incorrect."
    given = [
        told("/home/me/net.py", 7, branch, tracer),
        told("/home/me/net.py", 7, branch, tracer),
        told("/usr/lib/python3/dist-packages/torchvision/ops/boxes.py", 3, branch, tracer),
        told("/home/me/net.py", 8, "an older name", DeprecationWarning),
    ]
    assert frozen_places(given, lambda: True) == "net.py:7 (a branch)"
    assert frozen_places(given[2:], lambda: True) == ""


def test_places_where_sizes_alone_are_looked_at_are_left_out() -> None:
    values = "Converting a tensor to a {} might cause the trace to be incorrect."
    kinds = ("Python boolean", "NumPy array", "Python list", "Python integer")
    given = [
        told("net.py", line, values.format(kind), torch.jit.TracerWarning)
        for line, kind in enumerate(kinds)
    ]
    assert frozen_places(given, lambda: False) == "net.py:1 (a value), net.py:2 (a value)"


def test_no_more_than_three_places_are_named() -> None:
    float_of = "Converting a tensor to a Python float might cause the trace to be incorrect."
    given = [told("net.py", line, float_of, torch.jit.TracerWarning) for line in range(5)]
    named = "net.py:0 (a value), net.py:1 (a value), net.py:2 (a value), 2 more"
    assert frozen_places(given, lambda: True) == named


def test_an_export_warns_of_a_branch_that_the_numbers_of_its_input_choose(tmp_path: Path) -> None:
    class Doubling(torch.nn.Module):  # type: ignore[misc, name-defined]
        def forward(self, x: Any) -> Any:
            if x.sum() > 0:
                return 2 * x
            return x

    spec = [InputSpec("x", "float32", ("batch", 3))]
    with pytest.warns(UserWarning) as found:
        export_graph(Doubling(), spec, {"x": np.ones((2, 3), np.float32)}, tmp_path / "net.onnx")
    (line,) = [str(one.message) for one in found if "looks at its input" in str(one.message)]
    assert "test_frozen.py:" in line and "(a branch)" in line
    places = frozen_in_files([tmp_path / "net.onnx", tmp_path / "net.onnx"])
    assert places.startswith("test_frozen.py:") and f"at {places}: the graph" in line
    assert frozen_in_files([]) == ""
