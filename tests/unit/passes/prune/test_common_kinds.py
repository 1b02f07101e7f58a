"""Kinds of nets that people bring: groups are found, cut nets answer as with zeros, and train."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest
import torch
from common_nets import NETS, between
from prune_nets import answers, context, pictures, seeded
from torch import nn

from perfsuite.passes.prune.prunable import prunable
from perfsuite.passes.prune.prune import Prune
from perfsuite.passes.prune.surgery import cut, masked


def groups_of(net: nn.Module, tmp_path: Any) -> tuple[list[Any], dict[str, str]]:
    return prunable(net, context(tmp_path), ())


@pytest.mark.parametrize("kind", NETS)
def test_a_kind_of_net_is_cut_and_trained(kind: str, tmp_path: Any) -> None:
    make, expected = NETS[kind]
    net = seeded(make)
    groups, left = groups_of(net, tmp_path)
    assert {group.layer for group in groups} == set(expected.split()), left
    kept = {group.name: list(range(0, group.width, 2)) for group in groups}
    smaller, zeros = copy.deepcopy(net), copy.deepcopy(net)
    cut(smaller, groups, kept)
    masked(zeros, groups, kept)
    given = pictures(seed=5)
    torch.testing.assert_close(
        answers(smaller, given)[0], answers(zeros, given)[0], rtol=1e-4, atol=1e-5
    )
    assert _size(smaller) < 0.75 * _size(net)
    loss = smaller.train()(torch.from_numpy(given["image"])).square().mean()
    loss.backward()
    torch.optim.SGD(smaller.parameters(), 0.01).step()


def _size(net: nn.Module) -> int:
    return sum(parameter.numel() for parameter in net.parameters())


@pytest.mark.parametrize("kind", ["c2f", "grouped", "group_norm_plain", "heads", "instance_norm"])
def test_a_fresh_net_gets_the_numbers_that_its_modules_count(kind: str, tmp_path: Any) -> None:
    net, fresh = seeded(NETS[kind][0]), seeded(NETS[kind][0])
    prune = Prune(ratio=0.5, scope="uniform", importance="l2")
    edits = prune.fit(net, context(tmp_path))
    prune.rebuild(fresh, edits)
    assert repr(fresh) == repr(net)
    torch.testing.assert_close(answers(fresh, pictures())[0], answers(net, pictures())[0])
    if kind == "heads":
        assert net.layer.num_heads == 2 and edits.data["attributes"] == {"layer.num_heads": 2}  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (
            lambda n, x: x.view(len(x), 16, 64).view_as(x),
            "16, 64]' is invalid .*x.view.*, or -1 in",
        ),
        (lambda n, x: x * torch.arange(16.0).view(16, 1, 1), "size of tensor .*torch.arange.*;"),
        (lambda n, x: torch.cat(x.split(8, 1), 1) * x.split(8, 1)[0].repeat(1, 2, 1, 1), "fails"),
    ],
)
def test_numbers_in_the_code_are_shown_with_their_line(
    what: Any, reason: str, tmp_path: Any
) -> None:
    _, left = groups_of(seeded(lambda: between(what)), tmp_path)
    assert re.search(reason, left["a"]), left["a"]
    assert "(test_common_kinds.py:" in left["a"]
