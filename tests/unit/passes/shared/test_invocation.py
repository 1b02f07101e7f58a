"""Who teaches a net that a pass has changed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from prune_nets import context
from torch import nn

from perfsuite.passes.shared.invocation import teacher_of


def test_the_first_pass_is_taught_by_what_it_was_given_as_it_was(tmp_path: Path) -> None:
    net = nn.Linear(2, 2).train()
    before = net.weight.detach().clone()
    teacher = teacher_of(net, context(tmp_path))
    with torch.no_grad():
        net.weight.zero_()
    assert isinstance(teacher, nn.Linear)
    assert torch.equal(teacher.weight, before)
    assert not teacher.training


def test_a_later_one_is_taught_by_the_workloads_net(tmp_path: Path) -> None:
    original = nn.Linear(2, 2).train()
    given = replace(context(tmp_path), original=lambda: original)
    assert teacher_of(nn.Linear(2, 2), given) is original
    assert not original.training
