"""Wrappers are taken off a net before it is used."""

from __future__ import annotations

import copy
from typing import Any

import pytest

torch = pytest.importorskip("torch")
nn = torch.nn

from perfsuite.errors import BuildError  # noqa: E402
from perfsuite.export.wrappers import (  # noqa: E402
    eagerly,
    stay_eager,
    unwrap_parts,
    unwrapped,
    wrapped_parts,
    wrapped_weights,
)


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
    assert unwrapped(program.module()).eval().training is False, "the program's own refuses"


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_names_that_a_wrapper_has_left_are_told(prefix: str) -> None:
    net = nn.Linear(2, 2)
    state = {f"{prefix}{name}": value for name, value in net.state_dict().items()}
    with pytest.raises(BuildError, match=rf"removeprefix\('{prefix}'\)"), wrapped_weights():
        net.load_state_dict(state)
    with pytest.raises(RuntimeError, match="another"), wrapped_weights():
        raise RuntimeError("another")


def test_a_net_that_shows_what_is_inside_of_it_is_no_wrapper() -> None:
    class Scaled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = torch.compile(nn.Linear(2, 2))

        def __getattr__(self, name: str) -> Any:
            try:
                return super().__getattr__(name)
            except AttributeError:
                return getattr(super().__getattr__("net"), name)

    net = Scaled()
    assert isinstance(net._orig_mod, nn.Linear)
    assert unwrapped(net) is net


def test_what_is_round_parts_of_a_net_is_named_and_taken_off() -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 2)
    net = nn.Sequential(torch.compile(first), nn.ReLU(), nn.Sequential(nn.DataParallel(second)))
    net[1].compile(backend="aot_eager")
    wrapped = {"0": "torch.compile", "1": "torch.compile", "2.0": "DataParallel"}
    assert wrapped_parts(net) == wrapped
    unwrap_parts(net)
    assert wrapped_parts(net) == {} and net[0] is first and net[2][0] is second
    assert list(net.state_dict()) == ["0.weight", "0.bias", "2.0.weight", "2.0.bias"]


def test_functions_that_were_compiled_run_as_they_are() -> None:
    def backend(graph: Any, _: Any) -> Any:
        raise AssertionError("it was compiled")

    double = torch.compile(lambda x: x * 2, backend=backend)
    with eagerly():
        assert double(torch.ones(1)) == 2
    stay_eager(True)
    assert double(torch.ones(1)) == 2
    stay_eager(False)
    with pytest.raises(Exception, match="it was compiled"):
        double(torch.ones(1))
    torch._dynamo.reset()


def test_hooks_of_a_wrapper_are_not_lost_without_a_word() -> None:
    for wrapped in (torch.compile(nn.Linear(2, 2)), nn.DataParallel(nn.Linear(2, 2))):
        wrapped.register_forward_hook(lambda module, given, answer: answer * 2)
        with pytest.raises(BuildError, match="register them on the net inside of it"):
            unwrapped(wrapped)
