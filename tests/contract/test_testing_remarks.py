"""`check_workload` tells what a torch module has that is worked round, or cannot be followed."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from odd_nets import NETS, Pictures, Spoils, Two, workload
from torch import nn

from perfsuite.domain.model import Model
from perfsuite.domain.task import Inputs
from perfsuite.domain.workload import Workload
from perfsuite.testing import check_workload


def told(build: Callable[[], Any], **model: Any) -> list[str]:
    """Return the warnings of a check."""

    def seeded() -> Any:
        torch.manual_seed(0)
        return build().eval()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_workload(Workload("net", Model(seeded, **model), Pictures()))
    return [str(one.message) for one in caught if issubclass(one.category, UserWarning)]


class Auxiliary(Two):
    def __init__(self) -> None:
        super().__init__()
        self.extra = nn.Linear(8, 5)

    def forward(self, x: Any) -> Any:
        scores = self.scores(x)
        return (scores, self.extra(self.a(x).mean((2, 3)))) if self.training else scores


class Growing(Auxiliary):
    """Keeps in training mode what it has seen, of which nothing may be left."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(0))

    def forward(self, x: Any) -> Any:
        if self.training:
            self.seen = torch.cat([self.seen, x.flatten()])
            self.register_buffer("last", x)
        elif len(self.seen):
            return self.scores(x) * 2
        return super().forward(x)


class Hiding(Two):
    def __init__(self) -> None:
        super().__init__()
        self.parts, self.tower = [self.a, self.b], [nn.ReLU().eval()]

    def forward(self, x: Any) -> Any:
        return self.tower[0](self.scores(x))


class Sparse(Two):
    def __init__(self) -> None:
        super().__init__()
        self.mask = nn.Parameter(torch.eye(5).to_sparse_csr(), requires_grad=False)

    def forward(self, x: Any) -> Any:
        return (self.mask @ self.scores(x).t()).t()


def compiled(net: Any) -> Any:
    net.a.compile(backend="aot_eager")
    return net


class Detecting(Two):
    def forward(self, x: Any) -> Any:
        return self.scores(x).flatten()


class Fixed(Two):
    def forward(self, x: Any) -> Any:
        return self.scores(x.reshape(1, 3, 16, 16))


class Half(Two):
    def forward(self, x: Any) -> Any:
        return self.scores(x.bfloat16()).float()


class Chance(Two):
    def forward(self, x: Any) -> Any:
        return self.scores(nn.functional.dropout(x))


class Masked(Two):
    def forward(self, x: Any) -> Any:
        return self.scores(x).masked_fill(torch.arange(5) == 1, float("-inf"))


class Scripted(Two):
    def __init__(self) -> None:
        super().__init__()
        self.a: Any = torch.jit.script(self.a)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("build", "words"),
    [
        (Masked, "its output 0 has infinite values: if they are no mask's"),
        (Spoils, "changes its inputs in place"),
        (Auxiliary, "'extra' is called in training mode alone"),
        (Detecting, "Task.agreement"),
        (lambda: Half().bfloat16(), "its weights are bfloat16: it cannot run in fp32"),
        (lambda: nn.DataParallel(Two()), "build() gives a DataParallel"),
        (Scripted, "'a' is TorchScript: the net does not export to ONNX"),
        (lambda: compiled(Two()), "a is in torch.compile; perfsuite takes it out"),
        (Hiding, "'tower' holds modules in a list, where torch does not find them"),
        (Growing, "'extra' is called in training mode alone"),
    ],
)
def test_each_is_told(build: Callable[[], Any], words: str) -> None:
    (remark,) = told(build)
    assert remark.startswith("workload 'net': ")
    assert words in remark


@pytest.mark.filterwarnings("ignore:Sparse")
def test_sparse_weights_pass() -> None:
    assert all("MACs are only a part" in one for one in told(Sparse) if "Sparse" not in one)


def test_of_a_plain_net_there_is_nothing_to_tell() -> None:
    assert told(Two) == []


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (Fixed, r"say so: Model\(build, batch=1\)"),
        (Chance, "answers by chance"),
        (lambda: nn.LazyLinear(3), "is lazy"),
        (lambda: nn.Linear(3, 3, device="meta"), "on the meta device"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_work_is_an_error(build: Callable[[], Any], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        told(build)


def test_a_fixed_batch_that_is_said_is_fine() -> None:
    assert told(Fixed, batch=1) == []


@pytest.mark.parametrize("name", sorted(set(NETS) - {"training mode"}))
@pytest.mark.filterwarnings("ignore")
def test_every_odd_net_passes(name: str) -> None:
    check_workload(workload(name))


def test_a_check_leaves_arrays_as_they_are() -> None:
    given = Pictures().inputs(2, 0)

    class Same(Pictures):
        def inputs(self, batch: int, seed: int) -> Inputs:
            return given if (batch, seed) == (2, 0) else super().inputs(batch, seed)

    before = given["x"].copy()
    with pytest.warns(UserWarning, match="in place"):
        check_workload(Workload("net", Model(lambda: _seeded(Spoils)), Same()))
    np.testing.assert_array_equal(given["x"], before)


def _seeded(make: Callable[[], nn.Module]) -> nn.Module:
    torch.manual_seed(0)
    return make().eval()
