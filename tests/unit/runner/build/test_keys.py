"""What the keys of variants and artifacts follow from, and what passes are told."""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path

import msgspec
import pytest
from pass_net import NET, SCALE, SHIFT, builder, project

from perfsuite.domain.model import Model
from perfsuite.domain.workload import Workload
from perfsuite.runner.build.latency_clock import Clock
from perfsuite.runner.build.variants import VariantBuilder

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    return project(tmp_path, monkeypatch)


def test_a_pass_is_told_what_will_run_and_hears_its_clock(folder: Path) -> None:
    made = builder(folder, SCALE)
    cell = msgspec.structs.replace(made.job.cell, batch=3, threads=2)
    job = msgspec.structs.replace(made.job, cell=cell)
    again = VariantBuilder(made.workload, job, made.steps, made.runtime, made.cache)
    told = again._context(made.steps[0], "key")
    target = told.target
    assert (target.runtime, target.device, target.precision) == ("onnxruntime", "cpu", "fp32")
    assert (target.batch, target.threads) == (3, 2)
    assert target.libraries == (f"onnxruntime {version('onnxruntime')}",)
    assert told.inputs["x"].shape == (3, 4)
    assert told.latency_s == Clock(made.runtime, "cpu", "fp32", 2)


def test_keys_follow_from_what_went_in_and_from_nothing_else(folder: Path) -> None:
    def keys(name: str, *passes: str, net: str = NET) -> tuple[str, str]:
        made = builder(folder / name, *(passes or (SCALE,)), net=net)
        return made.model_key, made.edits_key

    model, edits = keys("a")
    assert keys("b") == (model, edits), "where the file lies does not matter"
    assert keys("c", '{ use = "net.py:Scale", by = 2.0 }') == (model, edits), "a default, said"

    other_field = keys("d", '{ use = "net.py:Scale", by = 3.0 }')
    assert other_field[0] == model
    assert other_field[1] != edits
    assert keys("e", SHIFT)[1] not in (edits, other_field[1])
    assert keys("f", SCALE, SCALE)[1] not in (edits, other_field[1])

    weights = keys("g", net=NET.replace("WEIGHT, BIAS = 1.0", "WEIGHT, BIAS = 1.5"))
    assert weights[0] != model
    assert weights[1] != edits
    commented = keys("h", net=NET + "# a change of the source, nothing of it is known\n")
    assert commented[0] != model


def test_weights_versions_and_data_count_by_themselves(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file stays as it is here: only what it makes changes."""
    made = builder(folder, SCALE)
    model, edits = made.model_key, made.edits_key
    step = made.steps[0]

    def again() -> VariantBuilder:
        return VariantBuilder(made.workload, made.job, [step], made.runtime, made.cache)

    assert (again().model_key, again().edits_key) == (model, edits)
    with monkeypatch.context() as patch:
        patch.setattr(type(step.pass_), "version", 2)
        assert again().model_key == model
        assert again().edits_key != edits
    with monkeypatch.context() as patch:
        patch.setattr(type(step.pass_), "resolve", lambda self, target: "avx512")
        assert again().edits_key != edits
    with monkeypatch.context() as patch:
        patch.setattr(type(made.workload.task), "fingerprint", lambda self: "other points")
        assert again().model_key == model
        assert again().edits_key != edits
    with monkeypatch.context() as patch:
        patch.setitem(made.workload.model.build.__globals__, "BIAS", 2.0)  # type: ignore[union-attr]
        assert again().model_key != model
    samples = folder / "samples.npz"
    samples.write_bytes(b"one")
    job = msgspec.structs.replace(made.job, samples=str(samples))
    one = VariantBuilder(made.workload, job, [step], made.runtime, made.cache).edits_key
    samples.write_bytes(b"two")
    two = VariantBuilder(made.workload, job, [step], made.runtime, made.cache).edits_key
    assert len({edits, one, two}) == 3


def test_names_and_plain_attributes_count(folder: Path) -> None:
    """Two workloads of one file, one class and the same weights are still two."""
    made = builder(folder, SCALE)

    def key(name: str, repeats: int) -> str:
        def build() -> object:
            module = made.workload.model.build()  # type: ignore[misc]
            module.repeats = repeats
            return module

        model = Model(build)  # type: ignore[arg-type]
        workload = Workload(name, model, made.workload.task)
        return VariantBuilder(workload, made.job, [], made.runtime, made.cache).model_key

    assert key("net", 1) == key("net", 1)
    assert len({key("net", 1), key("net", 50), key("twin", 1)}) == 3
