"""What the key of a pass's result follows from, and that it finds what was trained before."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, ClassVar

import msgspec
import pytest

from perfsuite.domain.cell import Cell
from perfsuite.domain.recipe import PassUse, ResolvedRecipe, Target
from perfsuite.domain.task import Task, TrainingSet
from perfsuite.errors import ConfigError, PerfsuiteError, Unsupported
from perfsuite.passes.int8.int8 import Int8
from perfsuite.passes.lowrank.lowrank import Lowrank
from perfsuite.passes.prune.prune import WITHOUT_TRAINING, Prune
from perfsuite.runner.build.steps import Step, _configuration, steps_of
from perfsuite.training.plan import SgdPlan

HERE = Target("onnxruntime", "cpu", ("avx2",))


def key(use: str, pass_: Any) -> str:
    return Step(PassUse(use), pass_).key("parent", "data", HERE)


def test_what_was_trained_before_runtime_was_called_so_is_found() -> None:
    plan = SgdPlan(epochs=4, peak_rate=0.02)
    asked, _ = Prune(macs=0.5, runtime="onnxruntime", finetune=plan).settled(trains=True)
    assert _configuration(asked) == (
        b'{"engine":"onnxruntime","finetune":{"averaging":null,"batch":256,"bf16":true,'
        b'"cutouts":[],"epochs":4,"label_smoothing":0.1,"momentum":0.9,"optimizer":"sgd",'
        b'"peak_rate":0.02,"restarts":[],"seed":0,"sizes":[],"teacher":0.0,"warmup":0.15,'
        b'"weight_decay":0.0005},"importance":"taylor","layers":[],"macs":0.5,"ratio":null,'
        b'"reconstruct":0,"round_to":1,"scope":"clock","speedup":null,"steps":1}'
    )
    assert _configuration(Lowrank(energy=0.95)) == (
        b'{"energy":0.95,"engine":"","finetune":null,"macs":null,"method":"tucker","speedup":null}'
    )


def test_what_a_task_decides_is_decided_before_the_key_is_made() -> None:
    class Trained(Task):
        def train(self) -> TrainingSet:
            raise AssertionError("it need not be loaded for this")

    def settled(task: Task, **fields: Any) -> tuple[str, str]:
        step = Step(PassUse("prune"), Prune(ratio=0.5, **fields)).settled(task)
        return step.key("parent", "data", HERE), step.label

    assert settled(Trained()) == settled(Trained(), importance="taylor")
    key_of_l2, no_label = settled(Task(), importance="l2")
    assert settled(Task()) == (key_of_l2, WITHOUT_TRAINING) and no_label == ""
    assert settled(Task(), importance="taylor")[0] not in (key_of_l2, settled(Task())[0])
    step = Step(PassUse("int8"), Int8())
    assert step.settled(Task()) is step


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


class OfModules:
    """A runtime that takes the module."""

    name = "eager"
    takes = "module"


class OfGraphs:
    name = "grapher"
    takes = "graph"


def job(*passes: PassUse, hold_out: bool = False) -> Any:
    recipe = msgspec.convert({"name": "small", "passes": passes}, ResolvedRecipe)
    return SimpleNamespace(recipe=recipe, cell=Cell("net", "small", "grapher"), hold_out=hold_out)


def test_the_passes_of_a_recipe_are_made_in_their_order() -> None:
    prune, int8 = PassUse("prune", {"ratio": 0.5}), PassUse("int8", {"calibration_samples": 8})
    found = steps_of(job(prune, int8), OfGraphs())  # type: ignore[arg-type]
    assert [step.use for step in found] == [prune, int8]
    assert [step.pass_ for step in found] == [Prune(ratio=0.5), Int8(calibration_samples=8)]
    assert [step.is_graph for step in found] == [False, True]


def test_a_mistake_in_a_pass_is_told_by_its_place() -> None:
    with pytest.raises(ConfigError, match=r"recipes\.small\.passes\[1\]"):
        steps_of(job(PassUse("int8"), PassUse("prune", {"ratio": 3})), OfGraphs())  # type: ignore[arg-type]


def test_a_graph_pass_needs_a_runtime_that_takes_graphs() -> None:
    with pytest.raises(Unsupported) as caught:
        steps_of(job(PassUse("int8")), OfModules())  # type: ignore[arg-type]
    assert str(caught.value) == (
        "int8 on eager: it changes the graph that is exported, and eager takes the module; these "
        "take graphs: onnxruntime, onnxruntime-cuda, openvino, tensorrt, tensorrt-rtx, "
        "perfsuite-binary, and a runtime of your own that does"
    )
    (step,) = steps_of(job(PassUse("prune", {"ratio": 0.5})), OfModules())  # type: ignore[arg-type]
    assert not step.is_graph


def test_a_pass_may_be_for_some_runtimes_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Int8, "runtimes", ("one", "other"), raising=False)
    with pytest.raises(Unsupported) as caught:
        steps_of(job(PassUse("int8")), OfGraphs())  # type: ignore[arg-type]
    assert str(caught.value) == (
        "int8 on grapher: this engine has no kernel for it; one, other have"
    )
    monkeypatch.setattr(Int8, "runtimes", ("one", "grapher"), raising=False)
    assert len(steps_of(job(PassUse("int8")), OfGraphs())) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("use", "fields"), [("int8", {"calibration_samples": 501}), ("prune", {"reconstruct": 501})]
)
def test_passes_that_calibrate_on_validation_samples_are_refused(
    use: str, fields: dict[str, Any]
) -> None:
    given = {"ratio": 0.5} if use == "prune" else {}
    wide, narrow = (
        PassUse(use, given | {name: value - less for name, value in fields.items()})
        for less in (0, 1)
    )
    assert len(steps_of(job(wide), OfGraphs())) == 1  # type: ignore[arg-type]
    assert len(steps_of(job(narrow, hold_out=True), OfGraphs())) == 1  # type: ignore[arg-type]
    with pytest.raises(ConfigError) as caught:
        steps_of(job(wide, hold_out=True), OfGraphs())  # type: ignore[arg-type]
    assert str(caught.value) == (
        f"recipes.small: {use}: 501 calibration samples are asked for, and with hold_out at most "
        f"500 are to be had: the others may be validation samples"
    )


class Owing(msgspec.Struct, frozen=True):
    """A pass whose result is what it says of the target."""

    version: ClassVar[Any] = 1

    def resolve(self, target: Target) -> Any:
        return {"none": None, "broken": 1 / len(target.features)}.get(
            target.runtime, target.runtime
        )


def test_what_a_pass_owes_to_the_target_is_a_text() -> None:
    step = Step(PassUse("mine.py:Owing"), Owing())
    assert step.resolved(Target("one", "cpu", ("a",))) == "one"
    with pytest.raises(ConfigError) as caught:
        step.resolved(Target("none", "cpu", ("a",)))
    assert str(caught.value) == "mine.py:Owing: its resolve() must give a text, not None"
    with pytest.raises(PerfsuiteError, match=r"^mine\.py:Owing: its resolve\(.*ZeroDivisionError"):
        step.resolved(Target("broken", "cpu", ()))


def test_where_the_file_of_a_pass_lies_is_no_part_of_its_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("perfsuite.runner.build.steps.source_digest", lambda kind, use: "source")
    keys = {key(use, Owing()) for use in ("mine.py:Owing", "a/mine.py:Owing", "a:b/mine.py:Owing")}
    assert len(keys | {key("Owing", Owing())}) == 1
    assert key("mine.py:Other", Owing()) not in keys


def test_a_version_that_cannot_be_read_is_the_passes_mistake() -> None:
    class Broken(Owing, frozen=True):
        @property
        def version(self) -> int:  # type: ignore[override]
            raise KeyError("version")

    with pytest.raises(PerfsuiteError, match=r"^int8: its version.*KeyError"):
        key("int8", Broken())
