"""The low-rank pass as a whole: which layers it takes by the clock, and what it makes of nets."""

from __future__ import annotations

import copy
import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from alike import assert_alike
from lowrank_nets import PICTURES, answer, by_macs, constant, context, fresh, net
from torch import nn

from perfsuite.config.checking import make_pass
from perfsuite.domain.recipe import PassUse, Target
from perfsuite.domain.task import Inputs
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.measure.macs import count_module
from perfsuite.passes.lowrank.lowrank import Lowrank
from perfsuite.passes.lowrank.rank_search import Choice, Menu, Option, within_speedup
from perfsuite.passes.shared.layers import Layer
from perfsuite.testing import check_pass
from perfsuite.training.plan import SgdPlan

# -- fields -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({}, "give exactly one of energy, macs and speedup; there is none of them"),
        ({"energy": 0.9, "macs": 0.5}, "there is energy and macs"),
        ({"energy": 0.0}, "energy is 0.0; it must be above 0 and below 1"),
        ({"energy": 1.0}, "energy is 1.0"),
        ({"macs": 1.0}, "macs is 1.0"),
        ({"macs": -0.5}, "macs is -0.5"),
        ({"speedup": 1.0}, "speedup is 1.0; it must be above 1"),
        ({"speedup": 0.5}, "speedup is 0.5"),
        ({"energy": 0.9, "method": "cpd"}, "'cpd' is none of cp, tucker"),
        ({"energi": 0.9}, "did you mean 'energy'?"),
        ({"energy": 0.9, "finetune": {"optimizer": "sgd", "epochs": 0}}, "epochs is 0"),
    ],
)
def test_bad_fields_are_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as error:
        make_pass(PassUse("lowrank", fields))
    assert said in str(error.value)


def test_fields_of_a_suite() -> None:
    plan = {"optimizer": "sgd", "epochs": 4, "peak_rate": 0.02, "teacher": 0.5}
    made = make_pass(PassUse("lowrank", {"macs": 0.5, "method": "cp", "finetune": plan}))
    assert made == Lowrank(
        macs=0.5, method="cp", finetune=SgdPlan(epochs=4, peak_rate=0.02, teacher=0.5)
    )
    targets = [Target("onnxruntime", "cpu", threads=threads) for threads in (1, 2)]
    assert len({made.resolve(target) for target in targets}) == 2


# -- energy -----------------------------------------------------------------------------------


def test_energy_is_kept_and_the_clock_decides(tmp_path: Path) -> None:
    pass_, asked = Lowrank(energy=0.5), list[Any]()
    original = net()
    edits = pass_.fit(net(), context(tmp_path, PICTURES, asked=asked))
    taken, left = edits.data["layers"], edits.data["left"]
    assert set(taken) | set(left) == {
        "stem", "wide", "depthwise", "point", "hidden", "scores",
    }  # fmt: skip
    assert left["depthwise"] == "grouped"
    assert {"wide", "hidden"} <= set(taken)
    assert all(layer["lost"] <= 0.5 and layer["speedup"] >= 1.05 for layer in taken.values())
    # Rank by hand: half of the energy of the hidden layer, in singular values.
    energies = torch.linalg.svdvals(original.hidden.weight.double()) ** 2
    rank = int((energies.cumsum(0) < 0.5 * energies.sum()).sum()) + 1
    assert taken["hidden"]["ranks"] == [rank]  # by this clock, fewer ranks are always faster
    # A layer and its candidates take turns, with the net's weights as what else is in the cache.
    assert all(cold == sum(p.nbytes for p in original.parameters()) for _, cold in asked)
    assert all(isinstance(modules[0], nn.Conv2d | nn.Linear) for modules, _ in asked)
    rebuilt = fresh(pass_, edits, tmp_path, net)
    assert [name for name, _ in rebuilt.wide.named_children()] == ["reduce", "core", "restore"]
    assert rebuilt.wide.core.stride == (2, 2) and isinstance(rebuilt.depthwise, nn.Conv2d)
    assert count_module(rebuilt, PICTURES).macs < count_module(original, PICTURES).macs


def test_what_is_of_low_rank_answers_as_before(tmp_path: Path) -> None:
    def build() -> nn.Module:
        module = net()
        with torch.no_grad():
            module.hidden.weight.copy_(torch.randn(64, 4) @ torch.randn(4, 32 * 36))
            module.point.weight.copy_((torch.randn(32, 3) @ torch.randn(3, 32))[:, :, None, None])
            core = torch.randn(3, 2, 3, 3)
            sides = torch.randn(32, 3), torch.randn(16, 2)
            module.wide.weight.copy_(torch.einsum("to,oiab,si->tsab", sides[0], core, sides[1]))
        return module

    pass_ = Lowrank(energy=0.99999)
    original = build()
    edits = pass_.fit(copy.deepcopy(original), context(tmp_path, PICTURES))
    ranks = {path: layer["ranks"] for path, layer in edits.data["layers"].items()}
    assert ranks == {"wide": [3, 2], "point": [3], "hidden": [4]}
    torch.testing.assert_close(
        answer(fresh(pass_, edits, tmp_path, net)), answer(original), rtol=1e-3, atol=0.5
    )


def test_ranks_are_rounded_up_where_that_is_faster(tmp_path: Path) -> None:
    def blocked(module: nn.Module, inputs: Inputs) -> float:
        odd = any(p.shape[0] % 8 for name, p in module.named_parameters() if "reduce" in name)
        return by_macs(module, inputs) * (2 if odd else 1)

    edits = Lowrank(energy=0.5).fit(net(), context(tmp_path, PICTURES, blocked))
    assert edits.data["layers"]["hidden"]["ranks"][0] % 8 == 0


def test_nothing_pays(tmp_path: Path) -> None:
    with pytest.raises(Unsupported) as error:
        Lowrank(energy=0.5).fit(net(), context(tmp_path, PICTURES, constant))
    assert "no layer is faster by 5% factorized on onnxruntime" in str(error.value)
    assert "the best is 1.00x" in str(error.value) and "[[expect]]" in str(error.value)
    assert not list(tmp_path.iterdir())


def test_a_gain_below_the_clocks_noise_does_not_pay(tmp_path: Path) -> None:
    def close(module: nn.Module, inputs: Inputs) -> float:
        return 1.0 if isinstance(module, nn.Conv2d | nn.Linear) else 0.96

    with pytest.raises(Unsupported, match=r"best is 1\.04x"):
        Lowrank(energy=0.5).fit(net(), context(tmp_path, PICTURES, close))


def test_too_much_energy_saves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match=r"saves multiply-accumulates and keeps 0\.9999 of"):
        Lowrank(energy=0.9999).fit(net(), context(tmp_path, PICTURES))


def test_cp_that_does_not_keep_the_energy_is_not_taken(tmp_path: Path) -> None:
    torch.manual_seed(0)
    inputs = {"x": np.ones((1, 16, 8, 8), np.float32)}
    pass_ = Lowrank(energy=0.99, method="cp")
    with pytest.raises(Unsupported, match=r"faster on onnxruntime keeps 0\.99 of a layer's energy"):
        pass_.fit(nn.Sequential(nn.Conv2d(16, 16, 3)), context(tmp_path, inputs))


# -- targets ----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["tucker", "cp"])
@pytest.mark.parametrize("share", [0.7, 0.5])
def test_macs_are_those_asked_for(tmp_path: Path, method: str, share: float) -> None:
    pass_ = make_pass(PassUse("lowrank", {"macs": share, "method": method}))
    edits = pass_.fit(net(), context(tmp_path, PICTURES))
    whole = count_module(net(), PICTURES).macs
    kept = count_module(fresh(pass_, edits, tmp_path, net), PICTURES).macs / whole
    assert share - 0.15 < kept <= share


def test_macs_out_of_reach_are_said(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="keeps more than 1% of its"):
        Lowrank(macs=0.01).fit(net(), context(tmp_path, PICTURES))


def test_energy_is_lost_where_it_buys_most_time(tmp_path: Path) -> None:
    """Of two layers of one shape, the one of low rank goes first."""

    class Twins(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.full, self.poor = nn.Linear(64, 64), nn.Linear(64, 64)
            with torch.no_grad():
                self.poor.weight.copy_(torch.randn(64, 6) @ torch.randn(6, 64))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.poor(self.full(x).relu())
            return y

    inputs = {"x": np.ones((1, 64), np.float32)}
    asked: list[Any] = []
    edits = Lowrank(macs=0.75).fit(Twins(), context(tmp_path, inputs, asked=asked))
    assert set(edits.data["layers"]) == {"poor"}
    assert edits.data["left"] == {"full": "the target was reached without it"}
    assert edits.data["layers"]["poor"]["lost"] < 1e-9
    assert len(asked) == 1  # they have one shape, and are timed once


def test_speedup_is_proven_on_the_whole_net(tmp_path: Path) -> None:
    def overhead(module: nn.Module, inputs: Inputs) -> float:
        return by_macs(module, inputs) + (1e-4 if "image" in inputs else 0)  # the net's own

    pass_, asked = Lowrank(speedup=1.5), list[Any]()
    edits = pass_.fit(net(), context(tmp_path, PICTURES, overhead, asked))
    rebuilt = fresh(pass_, edits, tmp_path, net)
    assert overhead(net(), PICTURES) / overhead(rebuilt, PICTURES) >= 1.5
    assert asked[-1][1] == 0  # cold bytes: a whole net is as cold as it is
    assert count_module(rebuilt, PICTURES).macs > 0.3 * count_module(net(), PICTURES).macs


def test_a_lucky_measurement_is_not_believed() -> None:
    """Ten layers, each of which makes the net faster by 0.2; the search is flattered by 0.5."""
    asked: list[int] = []

    def speedup(choice: Choice) -> float:
        asked.append(len(choice))
        return 1 + 0.2 * len(choice) + (0.5 if len(asked) <= 4 else 0)

    menu_list = [
        Menu(
            Layer(str(index), nn.Linear(1, 1), ()),
            whole=Option((), 10, 1.0, 0.0),
            options=[Option((1,), 5, 0.5, 0.01 * (index + 1))],
        )
        for index in range(10)
    ]
    choice, reached = within_speedup(menu_list, 2.0, speedup)
    assert asked == [10, 5, 2, 3, 3, 4, 5]
    assert choice is not None and sorted(choice) == ["0", "1", "2", "3", "4"]  # the cheapest first
    assert reached == 2.0


def test_a_speedup_out_of_reach_is_said(tmp_path: Path) -> None:
    def overhead(module: nn.Module, inputs: Inputs) -> float:
        return by_macs(module, inputs) + (1e-2 if "image" in inputs else 0)

    with pytest.raises(Unsupported, match=r"it is 1\.\d\dx as fast, and 3x was asked for"):
        Lowrank(speedup=3).fit(net(), context(tmp_path, PICTURES, overhead))


# -- fine-tuning ------------------------------------------------------------------------------


def test_fine_tuning_goes_on_where_it_was_killed(tmp_path: Path) -> None:
    plan = SgdPlan(epochs=2, batch=8, peak_rate=0.1, teacher=0.5, bf16=False)
    pass_ = Lowrank(macs=0.6, finetune=plan)
    seen: list[tuple[int, int]] = []
    whole = pass_.fit(net(), context(tmp_path / "whole", PICTURES))

    class Killed(Exception):
        pass

    def kill(done: int, total: int) -> None:
        seen.append((done, total))
        if (done, total) == (5, 8):  # in the second epoch
            raise Killed

    killed = context(tmp_path / "killed", PICTURES)
    with pytest.raises(Killed):
        pass_.fit(net(), dataclasses.replace(killed, progress=kill))
    assert (1, 8) in seen
    # A clock that would choose otherwise is not asked again.
    again = pass_.fit(net(), context(tmp_path / "killed", PICTURES, constant))
    assert again.data == whole.data
    assert_alike(again.tensors, whole.tensors)
    untrained = Lowrank(macs=0.6).fit(net(), context(tmp_path / "raw", PICTURES))
    assert untrained.data == whole.data
    moved = {name: np.abs(untrained.tensors[name] - one) for name, one in whole.tensors.items()}
    assert max(float(one.max()) for one in moved.values() if one.dtype == np.float32) > 1e-3


# -- the contract -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        {"energy": 0.5},
        {"macs": 0.8},
        {"speedup": 1.2, "method": "cp"},
        {"macs": 0.7, "finetune": {"optimizer": "sgd", "epochs": 1, "batch": 16}},
    ],
)
def test_contract(fields: dict[str, Any]) -> None:
    check_pass(make_pass(PassUse("lowrank", fields)))
