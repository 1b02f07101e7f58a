"""A build that draws other weights each time is told as that, before anything is made of it."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from perfsuite.errors import BuildError  # noqa: E402
from perfsuite.runner.build.same_net import check_same, some_values  # noqa: E402


def net(seed: int, dtype: Any = torch.float32) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Linear(40, 1)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_equal_nets_pass_and_drawn_ones_are_told_by_a_tensor(dtype: Any) -> None:
    first = some_values(net(0, dtype))
    check_same(first, some_values(net(0, dtype)), "mine")
    with pytest.raises(BuildError, match=r"mine: its net is another one .*'0\.weight' differs"):
        check_same(first, some_values(net(1, dtype)), "mine")


def test_a_value_that_is_not_a_number_equals_itself() -> None:
    odd = net(0)
    odd.get_submodule("0").weight.data[0] = float("nan")  # type: ignore[index,operator,union-attr]
    check_same(some_values(odd), some_values(odd), "mine")


def test_a_tensor_that_one_net_alone_has_is_a_difference() -> None:
    with pytest.raises(BuildError, match=r"'2\.weight' differs"):
        check_same(some_values(net(0)), some_values(net(0)[:2]), "mine")  # type: ignore[index]
    with pytest.raises(BuildError, match=r"'2\.weight' differs"):
        check_same(some_values(net(0)[:2]), some_values(net(0)), "mine")  # type: ignore[index]


def test_values_are_taken_from_all_of_a_tensor() -> None:
    one, other = net(0), net(0)
    other.get_submodule("2").weight.data[0, 38] += 1  # type: ignore[operator,union-attr,index]
    with pytest.raises(BuildError, match=r"'2\.weight' differs"):
        check_same(some_values(one), some_values(other), "mine")
    assert some_values(nn.BatchNorm1d(0)) and some_values(nn.Identity()) == {}
