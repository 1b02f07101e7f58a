"""Wrappers are taken off a net before it is used."""

from __future__ import annotations

import copy

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from perfsuite.errors import BuildError  # noqa: E402
from perfsuite.export.wrappers import unwrapped, wrapped_weights  # noqa: E402


def test_a_net_is_taken_out_of_its_wrappers() -> None:
    net = nn.Linear(2, 2)
    for wrapped in (
        net,
        nn.DataParallel(net),
        torch.compile(net),
        torch.compile(nn.DataParallel(net)),
    ):
        assert unwrapped(wrapped) is net
    assert unwrapped("no module") == "no module"


def test_an_exported_program_is_a_module_without_modes() -> None:
    net = nn.Linear(2, 2).eval()
    program = torch.export.export(net, (torch.ones(1, 2),))
    found = copy.deepcopy(unwrapped(program))
    found.eval()
    found.train()
    torch.testing.assert_close(found(torch.ones(1, 2)), net(torch.ones(1, 2)))


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_names_that_a_wrapper_has_left_are_told(prefix: str) -> None:
    net = nn.Linear(2, 2)
    state = {f"{prefix}{name}": value for name, value in net.state_dict().items()}
    with pytest.raises(BuildError, match=rf"removeprefix\('{prefix}'\)"), wrapped_weights():
        net.load_state_dict(state)
    with pytest.raises(RuntimeError, match="another"), wrapped_weights():
        raise RuntimeError("another")
