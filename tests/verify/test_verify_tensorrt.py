"""The long proof of TensorRT for RTX: what a machine without a card can show.

Every variant of the CIFAR-10 nets and the stages of a detector are built for two compute
capabilities, with the types of all products as asked for. In fp16 their graphs answer alike.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from perfsuite import api
from perfsuite.config.loading import load_suite
from perfsuite.domain.record import Line
from perfsuite.errors import Unavailable
from perfsuite.export.lowered import lowered
from perfsuite.export.onnx import graph_spec, load_graph
from perfsuite.export.parity import parity
from perfsuite.runner.build import artifacts
from perfsuite.runner.build.reference import graph_outputs, module_outputs
from perfsuite.runner.build.steps import steps_of
from perfsuite.runner.build.variants import VariantBuilder
from perfsuite.runner.build.workload import workload_of
from perfsuite.runner.job import first_job
from perfsuite.runtimes.tensorrt.runtime import TensorRtRtx
from perfsuite.store.cache import Cache
from perfsuite.store.journal import read

pytestmark = pytest.mark.verify

ROOT = Path(__file__).parents[2]
CAPABILITIES = ("sm_86", "sm_120")
NETS = {
    "vgg16-cifar10": "vgg16-cifar10",
    "shufflenet-cifar10": "shufflenet-cifar10",
    "resnet20": f"{ROOT}/benchmarks/resnet_cifar10.py:resnet20",
    "resnet56": f"{ROOT}/benchmarks/resnet_cifar10.py:resnet56",
}
DETECTOR = "faster-rcnn-resnet101"
STAGES = ("backbone.body", "backbone.fpn", "rpn.head", "roi_heads.box_head",
          "roi_heads.box_predictor")  # fmt: skip
SUITE = """
workloads = [%s]
runtimes  = ["tensorrt-rtx"]
devices   = [%s]
precision = [%s]
threads   = 2
processes = 1

[[recipes]]
name   = "int8"
passes = [{ use = "int8", calibration_samples = %d }]

[[expect]]
runtime = "tensorrt-rtx"
status  = "unavailable"
reason  = "built here, and run where such cards are"
"""
# As in benchmarks/prune.toml: its training comes with perfsuite.
PRUNED = """
[[recipes]]
name      = "quarter"
workloads = ["vgg16-cifar10"]
passes    = [
    { use = "prune", macs = 0.25, scope = "global", round_to = 16, reconstruct = 500, finetune = { optimizer = "sgd", epochs = 48, batch = 128, peak_rate = 0.1, label_smoothing = 0.0, cutouts = [[0, 8]], averaging = [38, 0.02], teacher = 0.7 } },
]

[[recipes]]
name   = "quarter-int8"
from   = "quarter"
passes = [{ use = "int8", calibration_samples = 256 }]
"""  # noqa: E501


@pytest.fixture(autouse=True)
def _wheel() -> None:
    try:
        TensorRtRtx().probe()
    except Unavailable as error:
        pytest.skip(str(error))


def written(name: str, nets: list[str], precisions: tuple[str, ...], samples: int) -> Path:
    """Return the folder of a suite, where `make verify` keeps what it found."""
    folder = ROOT / "reports" / name
    folder.mkdir(parents=True, exist_ok=True)
    lists = [", ".join(f'"{one}"' for one in each) for each in (nets, CAPABILITIES, precisions)]
    more = PRUNED if NETS["vgg16-cifar10"] in nets else ""
    (folder / "suite.toml").write_text(SUITE % (*lists, samples) + more)
    return folder


@cache
def lines(name: str) -> dict[str, Line]:
    """Return the lines of a suite's cells by their keys, gone on with where it was cut short."""
    if name == "tensorrt-cifar10":
        folder = written(name, list(NETS.values()), ("fp32", "fp16"), 256)
    else:
        folder = written(name, [DETECTOR], ("fp16",), 4)
    out = folder / "run"
    resume = (out / "run.jsonl").exists()
    _, run, judgement = api.run(folder / "suite.toml", out, resume=resume)
    told = {one.cell.key: one.error.message for one in run.records.values() if one.error}
    assert judgement.exit_code == 0, told
    keys = {cell.id: cell.key for cell in run.header.cells}
    return {keys[line.cell]: line for line in read(out)[1] if line.job == "prepare"}


def products(line: Line) -> dict[str, dict[str, int]]:
    """Return how many products of each type were parsed, by stage; '' for a whole model."""
    assert line.evidence is not None and line.error is not None, line
    assert line.error.message.startswith("tensorrt-rtx: built for "), line.error
    found = {}
    for item in line.evidence.items:
        if item.about == "precision":
            parts = (part.partition(" in ") for part in item.value.split(", "))
            stage = item.name.rpartition(": ")[0]
            found[stage] = {kind: int(times) for times, _, kind in parts}
    return found


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize("precision", ["fp32", "fp16"])
@pytest.mark.parametrize("net", NETS)
def test_every_variant_is_built_with_the_types_asked_for(
    net: str, precision: str, capability: str
) -> None:
    recipes = ["fp32", "int8"] + ["quarter", "quarter-int8"] * (net == "vgg16-cifar10")
    for recipe in recipes:
        key = f"{net}/{recipe}/tensorrt-rtx/{capability}/b1" + "/fp16" * (precision == "fp16")
        (found,) = products(lines("tensorrt-cifar10")[key]).values()
        kinds = {"int8"} if "int8" in recipe else {precision}
        assert set(found) == kinds, (key, found)
        assert sum(found.values()) >= 14, (key, found)


@pytest.mark.parametrize("capability", CAPABILITIES)
@pytest.mark.parametrize(("recipe", "kind"), [("fp32", "fp16"), ("int8", "int8")])
def test_the_stages_of_a_detector_are_built(recipe: str, kind: str, capability: str) -> None:
    key = f"{DETECTOR}/{recipe}/tensorrt-rtx/{capability}/b1/fp16"
    line = lines("tensorrt-detector")[key]
    found = products(line)
    assert tuple(found) == STAGES
    assert all(set(one) == {kind} for one in found.values()), found
    assert line.evidence is not None
    why = next(item.value for item in line.evidence.items if item.name == "split")
    assert "has no operator" in why


@pytest.mark.parametrize("net", NETS)
def test_graphs_in_fp16_answer_as_the_nets_do(net: str, tmp_path: Path) -> None:
    import onnx

    folder = written("tensorrt-cifar10", list(NETS.values()), ("fp32", "fp16"), 256)
    suite, (cell,), _ = load_suite(
        folder / "suite.toml", [f"{net}/fp32/tensorrt-rtx/{CAPABILITIES[0]}/b1"]
    )
    job = first_job(suite, cell)
    runtime = artifacts.load_runtime(job.runtime)
    builder = VariantBuilder(workload_of(job), job, steps_of(job, runtime), runtime, Cache())
    graph = builder.variant()[0].graph
    assert graph is not None
    model = lowered(load_graph(graph), "fp16")
    onnx.save(model, tmp_path / "half.onnx")
    inputs = builder.inputs(4, 0)
    expected = module_outputs(builder.rebuild(), inputs)
    answered = graph_outputs(tmp_path / "half.onnx", inputs)
    found = parity(expected, answered, graph_spec(load_graph(graph))[1], "fp16")
    assert all(0 < one <= 1e-2 for one in found.values()), found
