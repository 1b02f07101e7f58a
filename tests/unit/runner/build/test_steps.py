"""What the key of a pass's result follows from, and that it finds what was trained before."""

from __future__ import annotations

from typing import Any

import msgspec

from perfsuite.domain.recipe import PassUse, Target
from perfsuite.passes.int8.int8 import Int8
from perfsuite.passes.lowrank.lowrank import Lowrank
from perfsuite.passes.prune.prune import Prune
from perfsuite.runner.build.steps import Step, _configuration
from perfsuite.training.plan import SgdPlan

HERE = Target("onnxruntime", "cpu")


def key(use: str, pass_: Any) -> str:
    return Step(PassUse(use), pass_).key("parent", "data", HERE)


def test_what_was_trained_before_runtime_was_called_so_is_found() -> None:
    plan = SgdPlan(epochs=4, peak_rate=0.02)
    assert _configuration(Prune(macs=0.5, runtime="onnxruntime", finetune=plan)) == (
        b'{"engine":"onnxruntime","finetune":{"averaging":null,"batch":256,"bf16":true,'
        b'"cutouts":[],"epochs":4,"label_smoothing":0.1,"momentum":0.9,"optimizer":"sgd",'
        b'"peak_rate":0.02,"restarts":[],"seed":0,"sizes":[],"teacher":0.0,"warmup":0.15,'
        b'"weight_decay":0.0005},"importance":"taylor","layers":[],"macs":0.5,"ratio":null,'
        b'"reconstruct":0,"round_to":1,"scope":"clock","speedup":null,"steps":1}'
    )
    assert _configuration(Lowrank(energy=0.95)) == (
        b'{"energy":0.95,"engine":"","finetune":null,"macs":null,"method":"tucker","speedup":null}'
    )


def test_a_pass_without_a_runtime_is_encoded_as_it_is() -> None:
    assert _configuration(Int8(calibration_samples=8)) == b'{"calibration_samples":8}'

    class Tagged(msgspec.Struct, frozen=True, rename="camel", tag="t"):
        some_share: float = 0.5

    assert _configuration(Tagged()) == b'{"someShare":0.5,"type":"t"}'


def test_every_field_is_part_of_the_key() -> None:
    passes = [
        Prune(ratio=0.5),
        Prune(ratio=0.25),
        Prune(ratio=0.5, runtime="openvino"),
        Prune(ratio=0.5, finetune=SgdPlan(epochs=1)),
        Prune(ratio=0.5, finetune=SgdPlan(epochs=2)),
    ]
    keys = [key("prune", pass_) for pass_ in passes]
    assert len(set(keys)) == len(keys)
    assert key("prune", Prune(ratio=0.5)) == keys[0]
