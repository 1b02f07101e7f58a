"""What the keys of variants and artifacts follow from, and what passes are told."""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path

import msgspec
import numpy as np
import pytest
from pass_net import NET, SCALE, SHIFT, builder, project, run

from perfsuite.domain.model import Model, Stage
from perfsuite.domain.workload import Workload
from perfsuite.errors import PerfsuiteError
from perfsuite.runner.build import artifacts, identity, steps, variants
from perfsuite.runner.build.latency_clock import Clock
from perfsuite.runner.build.variants import VariantBuilder
from perfsuite.store.cache import Cache, key_of

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
    told = again.context(made.steps[0], "key")
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
        patch.setattr(sys.modules[type(step.pass_).__module__], "BIAS", 2.0)
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


STRUCTURE = """Sequential(
  (0): Linear(in_features=4, out_features=4, bias=True)
  (1): ReLU()
)
._is_full_backward_hook=None
0._is_full_backward_hook=None
0.in_features=4
0.out_features=4
1._is_full_backward_hook=None
1.inplace=False"""


def test_keys_are_what_they_were(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours of training are stored under them: each part stands here, in its place."""
    asked: list[tuple[str, str]] = []

    def digest(kind: str, reference: str) -> str:
        asked.append((kind, reference))
        return f"{kind} source"

    monkeypatch.setattr(variants, "source_digest", digest)
    monkeypatch.setattr(steps, "source_digest", digest)
    monkeypatch.setattr(variants, "version", lambda name: f"{name} version")
    made = builder(folder, SCALE, SHIFT)
    stages = (Stage("body", ("0", "0.sub")), Stage("rest", ("1",)))
    made.workload = Workload(
        "net", Model(made.workload.model.build, stages=stages), made.workload.task
    )
    eye, ones = np.eye(4, dtype=np.float32), np.ones(4, np.float32)
    parts = ["0.bias", "torch.float32", ones.tobytes(), "0.weight", "torch.float32", eye.tobytes()]
    net = key_of("module", "net", "workload source", STRUCTURE, *parts)
    assert made.model_key == net
    data = key_of("points", "")
    assert made.data_key == data
    scaled = key_of(net, data, "Scale", "pass source", "1", b'{"by":2.0}', "")
    assert made.edits_key == key_of(scaled, data, "Shift", "pass source", "1", b'{"by":2.0}', "")
    versions = ("torch version", "onnx version")
    assert made._export_key == key_of(made.edits_key, "export", "3", *versions, "0", "0.sub", "1")
    uses = [step.use.use for step in made.steps]
    assert asked == [("workload", made.job.reference), *(("pass", use) for use in uses)]


def test_the_key_of_an_onnx_file_is_that_of_all_its_files(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, beside = folder / "model.onnx", folder / "weights.bin"
    path.write_bytes(b"graph")
    beside.write_bytes(b"weights")
    monkeypatch.setattr(
        "perfsuite.export.onnx.data_files", lambda of: [beside] if of == path else []
    )
    made = builder(folder, SCALE)
    made.workload = Workload("net", Model(onnx=path), made.workload.task)
    assert made.model_key == key_of("onnx", b"graph", b"weights")


def test_a_pass_is_resolved_for_the_cells_target(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = builder(folder, SCALE)
    told: list[object] = []
    resolve = staticmethod(lambda target: told.append(target) or "")
    monkeypatch.setattr(type(made.steps[0].pass_), "resolve", resolve)
    assert made.edits_key
    assert told == [made.target(made.steps[0])]


def test_a_graph_pass_is_no_part_of_the_modules_key(folder: Path) -> None:
    made = builder(folder, SCALE)
    plain = made.edits_key
    quantized = builder(folder, SCALE, '{ use = "int8" }')
    assert [step.is_graph for step in quantized.steps] == [False, True]
    assert quantized.edits_key == plain


def test_a_pass_that_names_an_engine_is_resolved_for_it(folder: Path) -> None:
    """One net is trained for both engines."""
    made = builder(folder, '{ use = "prune", ratio = 0.5, runtime = "openvino" }')
    assert made._runtime_of(made.steps[0]).name == "openvino"
    assert made.target(made.steps[0]).runtime == "openvino"
    made = builder(folder, '{ use = "prune", ratio = 0.5 }', SCALE)
    assert [made._runtime_of(step) for step in made.steps] == [made.runtime] * 2


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, True),
        (True, True),
        (3, True),
        (0.5, True),
        ("a", True),
        (b"a", True),
        ((1, [2.0, "b"]), True),
        ([1, object()], False),
        (({},), False),
        ({1: 2}, False),
        (object(), False),
    ],
)
def test_what_a_module_holds_plainly(value: object, plain: bool) -> None:
    assert identity.is_plain(value) == plain


def test_what_is_not_plain_or_changes_with_the_mode_is_no_part_of_the_structure(
    folder: Path,
) -> None:
    net = builder(folder, SCALE).build()
    told = identity.structure_of(net)
    assert told == STRUCTURE
    net.helper = object()  # type: ignore[assignment]
    assert identity.structure_of(net.train()) == told


def test_a_module_that_cannot_tell_of_itself_is_named(folder: Path) -> None:
    made = builder(folder, SCALE)

    def build() -> object:
        module = made.workload.model.build()  # type: ignore[misc]

        def extra() -> str:
            raise KeyError("no words")

        module[0].extra_repr = extra
        return module

    workload = Workload("net", Model(build), made.workload.task)  # type: ignore[arg-type]
    again = VariantBuilder(workload, made.job, made.steps, made.runtime, made.cache)
    with pytest.raises(PerfsuiteError, match=r"^net: what its module says of itself.*KeyError"):
        assert again.model_key


def test_an_artifact_that_needs_its_module_tells_the_structure_of_it(folder: Path) -> None:
    found, _ = run(folder, SCALE)
    told: dict[str, set[str]] = {}
    for record in found.records.values():
        path = Cache().get("artifact", record.artifact)
        assert path is not None
        told.setdefault(record.cell.runtime, set()).add(artifacts.read_facts(path).structure)
    assert told == {"pytorch": {key_of(STRUCTURE)}, "onnxruntime": {""}}


def test_what_a_users_net_keeps_beside_its_state_counts(folder: Path) -> None:
    made = builder(folder, SCALE)

    def key(scale: float, reference: str) -> str:
        def build() -> object:
            module = made.workload.model.build()  # type: ignore[misc]
            module.register_buffer("scale", np_tensor(scale), persistent=False)
            return module

        workload = Workload("net", Model(build), made.workload.task)  # type: ignore[arg-type]
        job = msgspec.structs.replace(made.job, reference=reference)
        return VariantBuilder(workload, job, [], made.runtime, made.cache)._module_key()

    own, table = made.job.reference, "vgg-digits"
    assert key(1.0, own) == key(1.0, own) != key(2.0, own)
    assert key(1.0, table) == key(2.0, table), "those of the table follow from their source"


def np_tensor(value: float) -> object:
    import torch

    return torch.tensor(value)
