"""Low rank limited to layers, and which it can change one by one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from lowrank_nets import PICTURES, context, net

from perfsuite.errors import ConfigError, Unsupported
from perfsuite.passes.lowrank.lowrank import Lowrank
from perfsuite.runner.build.steps import _configuration

ABLE = ("stem", "wide", "point", "hidden", "scores")


def layers(folder: Path, *patterns: str) -> list[str]:
    made = Lowrank(energy=0.5, layers=patterns)
    return list(made.fit(net(), context(folder, PICTURES)).data["layers"])


def test_only_what_is_named_is_factorized(tmp_path: Path) -> None:
    every = layers(tmp_path / "a")
    assert {"wide", "hidden"} < set(every)
    assert layers(tmp_path / "b", "wide") == ["wide"]
    assert layers(tmp_path / "c", "w*", "hidden") == ["wide", "hidden"]


@pytest.mark.parametrize(
    ("patterns", "error", "message"),
    [
        (("wied",), ConfigError, "the model has no module 'wied'; did you mean 'wide'"),
        (("hidden", "depthwise"), Unsupported, "depthwise cannot be factorized: grouped"),
        (("norm",), Unsupported, "norm cannot be factorized: it is no linear layer and no conv"),
    ],
)
def test_what_cannot_be_factorized_is_refused(
    tmp_path: Path, patterns: tuple[str, ...], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        layers(tmp_path, *patterns)


def test_the_layers_that_can_be_changed_are_told(tmp_path: Path) -> None:
    found = Lowrank(energy=0.5).changeable(net(), context(tmp_path, PICTURES))
    assert found.layers == ABLE
    assert found.left == {"depthwise": "grouped"}


def test_keys_of_earlier_configurations_stay() -> None:
    def key(**fields: Any) -> bytes:
        return _configuration(Lowrank(energy=0.5, **fields))

    assert key() == (
        b'{"energy":0.5,"engine":"","finetune":null,"macs":null,"method":"tucker","speedup":null}'
    )
    assert key(layers=("a",)) != key()
