"""Which inputs a module is exported with, and what becomes of one that is refused."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfsuite.domain.model import InputSpec
from perfsuite.domain.runtime import Manifest, Variant
from perfsuite.errors import SchemaError, Unavailable, Unsupported
from perfsuite.runtimes.torch_compile.program import (
    PROGRAM,
    _exported,
    example_of,
    exported,
    loaded,
)
from perfsuite.runtimes.torch_compile.runtime import TorchCompile

SPEC = (InputSpec("x", "float32", ("batch", 4)), InputSpec("words", "int64", ("batch", "length")))
MANIFEST = Manifest("torch-compile", "cpu", "fp32", 1, SPEC[:1], ("y",), False, False)


def test_an_exporter_gets_two_of_what_is_open() -> None:
    manifest = Manifest("torch-compile", "cpu", "fp32", 1, SPEC, ("y",), False, False)
    example = {"x": np.ones((1, 4), np.float32), "words": np.ones((1, 7), np.int64)}
    variant = Variant(None, None, False, example=example)
    timed, grown = example_of(variant, manifest), example_of(variant, manifest, 2)
    assert [one.shape for one in timed.values()] == [(1, 4), (1, 7)]
    assert [one.shape for one in grown.values()] == [(2, 4), (2, 7)]
    made_up = example_of(Variant(None, None, False), manifest)
    assert [one.shape for one in made_up.values()] == [(1, 4), (1, 2)]
    assert made_up["words"].dtype == np.int64


def branching() -> Any:
    import torch

    class Branching(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            return x * 2 if float(x.sum()) > 0 else x

    return Branching().eval()


def test_a_program_answers_any_batch_and_a_refusal_has_its_reason(tmp_path: Path) -> None:
    import torch

    variant = Variant(None, lambda: torch.nn.Linear(4, 3).eval(), False)
    assert variant.rebuild is not None
    module = variant.rebuild()
    program, refusal = exported(module, variant, MANIFEST)
    assert program is not None and refusal == ""
    torch.export.save(program, tmp_path / PROGRAM)
    again = loaded(tmp_path / PROGRAM)
    for batch in (1, 5):
        x = torch.randn(batch, 4)
        assert torch.equal(again(x), module(x))
    program, refusal = exported(branching(), variant, MANIFEST)
    assert program is None
    assert "data-dependent" in refusal and "\n" not in refusal


def bounded(most: int, step: int = 1) -> Any:
    import torch

    class Bounded(torch.nn.Module):
        def forward(self, x: Any) -> Any:
            if x.shape[0] <= most and x.shape[0] % step == 0:
                return x * 2
            return x

    return Bounded().eval()


def test_a_bound_far_beyond_what_is_asked_for_is_no_refusal() -> None:
    import torch

    variant = Variant(None, None, False)
    program, refusal = exported(bounded(65535), variant, MANIFEST)  # as a batch norm on a card
    assert program is not None and refusal == ""
    module = program.module()
    for batch in (1, 5, 65535):
        x = torch.ones(batch, 4)
        assert torch.equal(module(x), 2 * x)


def test_a_batch_norm_on_a_card_is_no_refusal() -> None:
    import torch
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():  # which has no memory, so that no card is needed
        module = torch.nn.BatchNorm2d(3, device="cuda").eval()
        x = torch.empty(2, 3, 8, 8, device="cuda")
    program = _exported(module, (x,), ({0: torch.export.Dim("batch")},))
    (bounds,) = program.range_constraints.values()
    assert 1 in bounds and 4096 in bounds


@pytest.mark.parametrize(("most", "step"), [(64, 1), (65536, 2)])
def test_one_that_leaves_too_little_is(most: int, step: int) -> None:
    program, refusal = exported(bounded(most, step), Variant(None, None, False), MANIFEST)
    assert program is None
    assert "Constraints violated (batch)" in refusal


SETTLED = """
import torch
from perfsuite.runtimes.pytorch.runtime import settle_card_precision
for precision in ("fp32", "tf32", "fp16"):
    settle_card_precision(precision)
    torch.export.export(torch.nn.Conv2d(1, 1, 1), (torch.ones(2, 1, 3, 3),))
    parts = (torch.backends.cuda.matmul, torch.backends.cudnn.conv, torch.backends.cudnn.rnn)
    print(torch.backends.cudnn.allow_tf32, *("tf32" == part.fp32_precision for part in parts))
"""


def test_a_process_that_is_settled_for_a_card_exports_and_stays_so() -> None:
    command = [sys.executable, "-c", SETTLED]  # in a process of its own: the settings stay
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    off, on = "False False False False", "True True True True"
    assert done.stdout.splitlines() == [off, on, off], done.stderr


def test_what_is_no_program_is_named(tmp_path: Path) -> None:
    (tmp_path / PROGRAM).write_bytes(b"no program")
    with pytest.raises(SchemaError, match=r"program\.pt2: .* build the artifact again"):
        loaded(tmp_path / PROGRAM)


def test_without_a_compiler_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch._inductor import cpp_builder

    def missing() -> str:
        raise RuntimeError("No working C++ compiler found")

    monkeypatch.setattr(cpp_builder, "get_cpp_compiler", missing)
    with pytest.raises(Unavailable, match=r"needs a C\+\+ compiler, .* apt-get install g\+\+"):
        TorchCompile().require("cpu", "fp32")


def test_a_graph_is_not_for_it(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="takes torch modules"):
        TorchCompile().build(Variant(tmp_path / "net.onnx", None, False), MANIFEST, tmp_path)
