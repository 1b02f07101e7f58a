"""A suite that is written in Python: the same as a file would give, refused as a file would be."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

import perfsuite
from perfsuite import (
    Budget,
    Evaluate,
    Expect,
    Int8,
    Lowrank,
    Measure,
    Prune,
    Recipe,
    Require,
    SgdPlan,
    Suite,
)
from perfsuite.config.loading import load_suite
from perfsuite.config.suite_table import RecipeTable, SuiteTable
from perfsuite.domain.looks import Looks
from perfsuite.errors import ConfigError
from perfsuite.measure.meters.memory import Memory
from perfsuite.runtimes.onnxruntime.runtime import OnnxRuntime
from perfsuite.workloads.zoo.digits import vgg_digits

MINE = """
from typing import ClassVar
import msgspec
from perfsuite import Metric, Model, Workload

net = Workload("net", Model())

class Engine: ...

class Steps:
    metrics = (Metric("steps", "1"),)
    def start(self): ...
    def stop(self): ...

class Flush(msgspec.Struct, frozen=True):
    limit: float = 1e-30
    layers: tuple[str, ...] = ()
    version: ClassVar[int] = 1
    runtimes: ClassVar[tuple[str, ...]] = ()

    def resolve(self, target):
        return ""

    def apply(self, graph, ctx):
        return graph
"""
TOML = """
workloads = ["vgg-digits", "mine_in_python.py:net", "other.onnx"]
runtimes = ["pytorch", "onnxruntime", "mine_in_python.py:Engine"]
batches = [1, 8]
threads = 2
processes = 4
evaluate = { samples = 100 }
measure = { calls = 1000, seconds = 2 }
samples = { other = "samples.npz" }
shapes = { other = { x = ["batch", 3, 64, 64] } }
compare = "ratio"
meters = ["memory", "mine_in_python.py:Steps"]

[[recipes]]
name = "int8"
passes = [{ use = "int8", calibration_samples = 64 }]

[[recipes]]
name = "small"
workloads = ["vgg*"]
runtimes = ["onnxruntime"]
passes = [
    { use = "prune", macs = 0.5, layers = ["a.*"], finetune = FINETUNE },
    { use = "lowrank", energy = 0.9 },
    { use = "mine_in_python.py:Flush", limit = 1e-20 },
]

[[expect]]
recipe = "int8"
runtime = "pytorch"
status = "unsupported"
reason = "why"

[[require]]
library = "onednn"
instruction_set = "avx2"
runtime = "pytorch"

[[budgets]]
name = "fast"
metric = "latency_s"
statistic = "p99"
cell = "vgg-digits/*"
baseline = true
max_increase = 0.05
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("mine_in_python.py").write_text(MINE)
    yield importlib.import_module("mine_in_python")
    del sys.modules["mine_in_python"]


def test_it_is_what_a_file_gives(mine: ModuleType) -> None:
    for file in ("other.onnx", "samples.npz"):
        Path(file).write_bytes(b"")
    finetune = '{ optimizer = "sgd", epochs = 2, sizes = [[0, 8]] }'
    Path("suite.toml").write_text(TOML.replace("FINETUNE", finetune))
    small = Recipe(
        "small",
        [
            Prune(macs=0.5, layers=("a.*",), finetune=SgdPlan(epochs=2, sizes=((0, 8),))),
            Lowrank(energy=0.9),
            mine.Flush(limit=1e-20),
        ],
        workloads=["vgg*"],
        runtimes=["onnxruntime"],
    )
    written = Suite(
        workloads=[vgg_digits, mine.net, Path("other.onnx")],
        runtimes=["pytorch", OnnxRuntime, mine.Engine],
        batches=range(1, 9, 7),  # type: ignore[arg-type]
        threads=2,
        processes=4,
        evaluate=Evaluate(100),
        measure=Measure(calls=1000, seconds=2),
        samples={"other": Path("samples.npz")},
        shapes={"other": {"x": ("batch", 3, 64, 64)}},
        compare="ratio",
        meters=[Memory, mine.Steps],
        recipes=(Recipe("int8", [Int8(calibration_samples=64)]), small),
        expect=[Expect("unsupported", "why", recipe="int8", runtime="pytorch")],
        require=[Require("onednn", "avx2", runtime="pytorch")],
        budgets=[
            Budget(
                "fast",
                "latency_s",
                cell="vgg-digits/*",
                statistic="p99",
                baseline=True,
                max_increase=0.05,
            )
        ],
    )
    assert load_suite(written) == load_suite(Path("suite.toml"))
    assert load_suite(written, ["vgg*/fp32/pytorch/*"], quick=True)[0].processes == 3


def test_processes_may_follow_from_what_is_measured() -> None:
    written = Suite(workloads=["vgg-digits"], runtimes=["pytorch"], max_processes=12, minutes=2.5)
    suite, _, _ = load_suite(written)
    assert (suite.processes, suite.looks, suite.minutes) == (12, Looks(4, 12), 2.5)
    quick, _, _ = load_suite(written, quick=True)
    assert (quick.processes, quick.looks, quick.minutes) == (3, None, None)


def test_samples_may_be_held_out_and_answered() -> None:
    split = Evaluate(split="validation")
    given = Suite(workloads=["vgg-digits"], runtimes=["pytorch"], hold_out=True, evaluate=split)
    suite, _, _ = load_suite(given)
    assert (suite.hold_out, suite.evaluate) == (True, split)
    quick, _, _ = load_suite(given, quick=True)
    assert (quick.hold_out, quick.evaluate) == (True, Evaluate(500, "validation"))


def test_what_is_left_out_has_the_files_defaults(mine: ModuleType) -> None:
    Path("suite.toml").write_text('workloads = ["vgg-digits"]\nruntimes = ["pytorch"]')
    assert load_suite(Suite(workloads=["vgg-digits"], runtimes=["pytorch"])) == load_suite(
        Path("suite.toml")
    )


def test_it_has_the_keys_of_a_file() -> None:
    own = {field.name for field in dataclasses.fields(Suite)}
    assert own == {*SuiteTable.__struct_fields__, "name"}
    # In Python what a recipe is made from is written `[*half.passes, Int8()]`.
    own = {field.name for field in dataclasses.fields(Recipe)}
    assert own == {*RecipeTable.__struct_fields__} - {"base"}


def test_its_name_is_that_of_its_runs(mine: ModuleType) -> None:
    suite, _, _ = load_suite(Suite(name="nightly", workloads=[mine.net], runtimes=["fake"]))
    assert suite.name == "nightly"
    assert suite.workloads == {"net": f"{Path.cwd()}/mine_in_python.py:net"}


class NoPass(msgspec.Struct):
    ratio: float = 0.5


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"workloads": []}, "workloads: Expected `array` of length >= 1"),
        ({"workloads": "vgg-digits"}, "workloads: Expected `array`, got `string`"),
        ({"workloads": ["vgg-digit"]}, "workloads[0]: unknown workload 'vgg-digit'; did you mean"),
        ({"workloads": ["vgg-digits", 3]}, "workloads[1]: 3 is no workload"),
        ({"workloads": [lambda: None]}, "workloads[0]: '"),
        ({"meters": ["memry"]}, "meters[0]: unknown meter 'memry'; did you mean 'memory'?"),
        ({"runtimes": [None]}, "runtimes[0]: None is no runtime"),
        ({"name": "a/b"}, "name: 'a/b' cannot be a name"),
        ({"name": 3}, "name: Expected `string`, got `integer`"),
        ({"batches": [0]}, "batches[0]: Expected `integer` >= 1"),
        ({"threads": "2"}, "threads: Expected `integer`, got `string`"),
        ({"evaluate": Evaluate(0)}, "evaluate.samples: Expected `integer` >= 1"),
        ({"compare": "ration"}, "compare: 'ration' is none of absolute, ratio"),
        ({"budgets": [Budget("b", "top1")]}, "budgets[0]: budget 'b' has no limit"),
        ({"budgets": [Budget("b", "latency_s", max=-1)]}, "budgets[0].max: Expected `float` >= 0"),
        (
            {"budgets": [Budget("b", "latency_s", cell="x/*", max=1)]},
            "budgets[0].cell: budget 'b': 'x/*' matches no cell",
        ),
        ({"expect": [Expect("no", "r")]}, "expect[0].status: 'no' is none of "),
        ({"require": [Require("onedn")]}, "require[0].library: unknown library 'onedn'; did you"),
        ({"recipes": ["int8"]}, "recipes[0]: a perfsuite.Recipe was expected, not str"),
        ({"recipes": [Recipe("r", [])]}, "recipes[0].passes: Expected `array` of length >= 1"),
        ({"recipes": [Recipe("fp32", [Int8()])]}, "recipes[0].name: 'fp32' is the recipe without"),
        (
            {"recipes": [Recipe("r", [Int8])]},
            "recipes[0].passes[0]: 'Int8' is a class; write Int8(...)",
        ),
        (
            {"recipes": [Recipe("r", ["int8"])]},
            "recipes[0].passes[0]: a pass was expected, such as perfsuite.Int8(), not str",
        ),
        ({"recipes": [Recipe("r", [Int8(2.5)])]}, "recipes[0].passes[0].calibration_samples: Exp"),
        (
            {"recipes": [Recipe("r", [Int8(), Prune(macs=0.5)])]},
            "recipes[0].passes[1]: 'prune' changes the torch module, and 'int8' before it",
        ),
        (
            {"recipes": [Recipe("r", [Int8()], workloads=["resnet"])]},
            "recipes[0].workloads[0]: no workload is 'resnet'",
        ),
        ({"recipes": [Recipe("r", [NoPass()])]}, "recipes[0].passes[0].use: "),
    ],
)
def test_a_mistake_is_refused_with_its_place(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        perfsuite.plan(Suite(**{"workloads": ["vgg-digits"], "runtimes": ["pytorch"], **fields}))
    assert str(caught.value).startswith(f"Suite(...): {message}")
