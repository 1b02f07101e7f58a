"""PyTorch's operators belong to the module, or the method, whose code calls them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from profile_net import SPEC, images, net

from perfsuite.domain.profile import PYTHON, Profile
from perfsuite.domain.runtime import Manifest, SessionOptions
from perfsuite.errors import Unsupported
from perfsuite.measure.macs import count_module
from perfsuite.runtimes.pytorch import profile as profile_module
from perfsuite.runtimes.pytorch.profile import OperatorSpan, _with_gaps
from perfsuite.runtimes.pytorch.runtime import PyTorchSession, run_module
from perfsuite.runtimes.pytorch.trace import NOT_THERE

CALLS = 3


def profiled(
    module: Any, inputs: Sequence[dict[str, np.ndarray]], spans: tuple[str, ...] = ()
) -> Profile:
    manifest = Manifest("pytorch", "cpu", "fp32", 1, SPEC, ("y",), False, False)
    with PyTorchSession(
        module, manifest, SessionOptions(1, 1, inspect=True, spans=spans)
    ) as session:
        return session.profile(inputs, CALLS)


def test_operators_belong_to_modules_and_methods_and_say_what_they_compute() -> None:
    module = net()
    before = {path: dict(vars(part)) for path, part in module.named_modules()}
    found = profiled(module, [images(), images(seed=1)], ("shuffle.mix", "stem", "shuffle"))
    assert all(vars(part) == before[path] for path, part in module.named_modules())
    assert len(found.walls_s) == CALLS
    for call, wall in enumerate(found.walls_s):
        ends = [kernel.starts_s[call] + kernel.times_s[call] for kernel in found.kernels]
        starts = [kernel.starts_s[call] for kernel in found.kernels]
        assert all(end <= start for end, start in zip(ends, starts[1:], strict=False))
        assert 0 < sum(kernel.times_s[call] for kernel in found.kernels) < wall
    kernels = {kernel.name: kernel for kernel in found.kernels}
    assert all(kernel.origins and not kernel.neighbours for kernel in found.kernels)
    # 16 x 16 pixels, 16 filters of 3 x 3 x 3 weights; 8 x 8 after pooling.
    stem = kernels["stem.0/conv2d"]
    assert stem.macs == 16 * 16 * 16 * 27
    assert stem.bytes == 4 * (3 * 256 + 16 * 27 + 16 * 256)
    assert (stem.kind, stem.precision) == ("conv2d", "fp32")
    assert kernels["shuffle.depthwise/conv2d"].macs == 8 * 8 * 16 * 9
    assert kernels["head/linear"].macs == 16 * 5
    assert kernels["blocks.0/relu_1"].origins == ("blocks.0/relu",)
    assert kernels["blocks.0/add"].bytes == 4 * 3 * 16 * 256
    views = {name for name in kernels if name.startswith("shuffle.mix/")}
    assert {"shuffle.mix/transpose", "shuffle.mix/reshape", "shuffle.mix/reshape_1"} <= views
    assert kernels["shuffle.mix/transpose"].bytes == 0
    assert "mean" in kernels, "the top's own operators"
    between = kernels["blocks.0/python"]
    assert (between.kind, between.origins, between.macs) == (PYTHON, ("blocks.0/python",), 0)
    assert PYTHON not in kernels, "between modules it is nobody's"


def test_what_lies_between_operators_is_the_innermost_modules() -> None:
    operators = [
        OperatorSpan("conv2d", "body.one", 0.0, 2.0),
        OperatorSpan("relu", "body.one", 2.5, 1.0),
        OperatorSpan("conv2d", "body.two", 4.0, 1.0),
        OperatorSpan("linear", "head", 9.0, 1.0),
        OperatorSpan("add", "head", 10.0625, 1.0),
    ]
    found = [one for one in _with_gaps(operators, 0.125) if one.name == PYTHON]
    assert found == [
        OperatorSpan(PYTHON, "body.one", 2.0, 0.375),
        OperatorSpan(PYTHON, "body", 3.5, 0.375),
        OperatorSpan(PYTHON, "head", 10.0, 0.0),  # less than tracing takes
    ]


def module(forward: Any) -> Any:
    from torch import nn

    return type("Module", (nn.Module,), {"forward": forward})().eval()


def test_an_operator_that_only_some_inputs_need_takes_no_time_in_the_others() -> None:
    import torch

    picky = module(lambda _, x: torch.cos(torch.sin(x)) if x[0, 0, 0, 0] > 0 else torch.sin(x))
    inputs = [{"image": np.full((1, 3, 16, 16), value, np.float32)} for value in (1, -1)]
    kernels = {kernel.name: kernel for kernel in profiled(picky, inputs).kernels}
    assert [time > 0 for time in kernels["cos"].times_s] == [True, False, True]
    assert kernels["cos"].starts_s == ()
    assert kernels["cos"].bytes == 2 * (2 * 4 * 768) // 3  # in two calls of three
    assert all(time > 0 for time in kernels["sin"].times_s)


def test_what_runs_for_all_samples_at_once_counts_where_it_is_called() -> None:
    import torch

    class Mapped(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = torch.nn.Conv2d(3, 8, 3, padding=1), torch.nn.Conv2d(8, 4, 1)
            self.w = torch.nn.Parameter(torch.ones(2, 5, 4))

        def forward(self, x: Any) -> Any:
            y = torch.func.vmap(lambda one: self.b(self.a(one).relu()).mean((1, 2)))(x)
            return torch.func.vmap(lambda w: torch.nn.functional.linear(y, w))(self.w)

    net = Mapped().eval()
    found = {one.name: one.macs for one in profiled(net, [images()]).kernels if one.macs}
    a, b, heads = 16 * 16 * 8 * 27, 16 * 16 * 4 * 8, 2 * 5 * 4
    assert found == {"a/conv2d": a, "b/conv2d": b, "linear": heads}
    assert count_module(net, images()).macs == a + b + heads


def test_what_changes_from_call_to_call_cannot_be_profiled() -> None:
    import torch

    calls = iter(range(99))
    fickle = module(lambda _, x: torch.cos(x) if next(calls) % 2 else torch.sin(x))
    with pytest.raises(Unsupported, match="make the model deterministic"):
        profiled(fickle, [images()])


@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr"])
def test_sparse_weights_move_their_values_and_indices(layout: str) -> None:
    import torch

    kept = torch.eye(8)

    class Sparse(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(getattr(kept, layout)())

        def forward(self, x: Any) -> Any:
            return (self.weight @ x.flatten(1)[:, :8].T).T

    found = profiled(Sparse(), [images()])
    (product,) = [one for one in found.kernels if one.kind == "matmul"]
    # Eight values of 4 bytes; two places of 8 bytes for each, or one and where the rows begin.
    indices = {"to_sparse": 8 * 2 * 8, "to_sparse_csr": (8 + 9) * 8}[layout]
    assert product.bytes == 8 * 4 + indices + 2 * 8 * 4


def test_a_failing_model_is_left_as_it_was() -> None:
    def fail(_: Any, x: Any) -> None:
        raise RuntimeError("boom")

    failing = module(fail)
    with pytest.raises(RuntimeError, match="boom"):
        profiled(failing, [images()])
    assert "forward" not in vars(failing)


def test_a_session_without_inspect_tells_no_times(tmp_path: Path) -> None:
    manifest = Manifest("pytorch", "cpu", "fp32", 1, SPEC, ("y",), False, False)
    with (
        PyTorchSession(net(), manifest, SessionOptions(1, 1)) as session,
        pytest.raises(Unsupported, match="opened with inspect"),
    ):
        session.profile([images()], 1)


def test_on_a_card_the_time_between_kernels_is_that_of_the_waiting_card(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Kernels run, by a scripted trace, from 1 to 2 us and from 5 to 7 us in the call of 12 us."""
    from torch import nn

    body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    whole = nn.Sequential(body)
    spans = [
        OperatorSpan("to", "", 0.2e-6, 0.5e-6, inside=False),  # the copy of the input
        OperatorSpan("conv2d", "0.0", 1e-6, 1e-6),
        OperatorSpan("view", "0", 0.0, NOT_THERE),
        OperatorSpan("relu", "0.1", 5e-6, 2e-6),
    ]

    def traced(run: Any, inputs: Any, calls: int, device: str) -> Any:
        assert device == "cuda"
        return [12e-6] * calls, [spans] * calls

    monkeypatch.setattr(profile_module, "_spans", traced)
    monkeypatch.setattr(profile_module, "_tracer_cost_s", lambda device: 0.5e-6)
    entry = {"x": np.zeros((1, 3, 8, 8), np.float32)}

    def run(inputs: Any) -> Any:
        return run_module(whole, inputs)

    found = profile_module.profile(whole, run, (), [entry], 2, "cuda")
    assert found.walls_s == (12e-6, 12e-6)
    times = {kernel.name: kernel.times_s for kernel in found.kernels}
    assert times == {
        "0.0/conv2d": (1e-6, 1e-6),
        f"0/{PYTHON}": (pytest.approx(2.5e-6),) * 2,  # of 3 us half a microsecond is the tracer's
        "0.1/relu": (2e-6, 2e-6),
    }
    macs = {kernel.name: kernel.macs for kernel in found.kernels}
    assert macs["0.0/conv2d"] == 4 * 6 * 6 * 27
