"""Whether what a suite mentions exists, and passes accept their fields."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import msgspec
import pytest

from perfsuite.config import check, make_pass, read_suite
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.suite import Budget, ResolvedSuite
from perfsuite.errors import ConfigError
from perfsuite.training.plan import AdamPlan, SgdPlan

PASSES_FILE = """
from typing import Annotated, ClassVar
import msgspec
from perfsuite.training.plan import AdamPlan, SgdPlan

class Tune(msgspec.Struct, frozen=True):
    finetune: SgdPlan | AdamPlan | None = None
    runtime: str = ""

    def fit(self, model, ctx): ...
    def rebuild(self, model, edits): ...

class Steam(Tune, frozen=True):
    engine: str = ""

class Prune(msgspec.Struct, frozen=True):
    version: ClassVar[int] = 1
    runtimes: ClassVar[tuple[str, ...]] = ()
    ratio: float = 0.5
    layers: tuple[str, ...] = ()

    def __post_init__(self):
        if not 0 < self.ratio < 1:
            raise ValueError(f"ratio is {self.ratio}; it must lie between 0 and 1")

    def fit(self, model, ctx): ...
    def rebuild(self, model, edits): ...

class NoPass(msgspec.Struct): ...

def function(): ...
"""


@pytest.fixture(autouse=True)
def tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small tables in place of the real ones: no engine, no net."""
    engine = SimpleNamespace(takes="module", devices=("cpu",), precisions=("fp32",))
    half = SimpleNamespace(takes="graph", devices=("cpu", "cuda"), precisions=("fp32", "fp16"))
    workloads = {"vgg": lambda: _workload("top1", "top5"), "detector": lambda: _workload("mAP")}
    monkeypatch.setattr("perfsuite.workloads.table.WORKLOADS", workloads)
    for package, table, content in (
        ("passes", "PASSES", {"double": lambda: _double()}),
        ("runtimes", "RUNTIMES", {"pytorch": lambda: engine, "openvino": lambda: half}),
    ):
        name = f"perfsuite.{package}.table"
        module = ModuleType(name)
        setattr(module, table, content)
        monkeypatch.setitem(sys.modules, name, module)


def _workload(*metrics: str) -> SimpleNamespace:
    return SimpleNamespace(task=SimpleNamespace(metrics=lambda: dict.fromkeys(metrics, float)))


def _double() -> type:
    return msgspec.defstruct(
        "Double", [("times", int, 2)], namespace={"apply": lambda self, graph, ctx: graph}
    )


@pytest.fixture
def mine(tmp_path: Path) -> str:
    (tmp_path / "mine.py").write_text(PASSES_FILE)
    return f"{tmp_path}/mine.py"


def suite(**fields: object) -> ResolvedSuite:
    given = {"workloads": {"vgg": "vgg"}, "runtimes": ("pytorch",), "recipes": (FP32,), **fields}
    return ResolvedSuite("s", **given)  # type: ignore[arg-type]


def refusal(given: ResolvedSuite) -> str:
    with pytest.raises(ConfigError) as caught:
        check(given)
    return str(caught.value)


def with_pass(use: str, **fields: object) -> ResolvedSuite:
    return suite(recipes=(FP32, ResolvedRecipe("r", (PassUse("double"), PassUse(use, fields)))))


def test_what_exists_passes(mine: str, tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"")
    (tmp_path / "net.npz").write_bytes(b"")
    check(
        suite(
            workloads={"vgg": "vgg", "function": f"{mine}:function", "net": f"{tmp_path}/net.onnx"},
            runtimes=("pytorch", "openvino"),
            devices=("cuda",),
            precision=("fp16",),
            samples={"net": f"{tmp_path}/net.npz"},
            recipes=(FP32, ResolvedRecipe("r", (PassUse(f"{mine}:Prune", {"ratio": 0.25}),))),
        )
    )


def test_unknown_names_are_refused_with_place_and_suggestion(mine: str, tmp_path: Path) -> None:
    assert refusal(suite(workloads={"detector": "detector", "vg": "vg"})) == (
        "s.toml: workloads[1]: unknown workload 'vg'; did you mean 'vgg'? (your own: file.py:name, "
        "net.onnx; without a file: torchvision:NAME, timm:NAME)"
    )
    assert refusal(suite(runtimes=("pytorch", "openvina"))).startswith(
        "s.toml: runtimes[1]: unknown runtime 'openvina'; did you mean 'openvino'?"
    )
    assert refusal(with_pass("duble")).startswith(
        "s.toml: recipes[0].passes[1].use: unknown pass 'duble'; did you mean 'double'?"
    )
    assert "workloads[0]: workload" in refusal(suite(workloads={"f": f"{mine}:functon"}))
    assert "has no 'functon'; did you mean 'function'?" in refusal(
        suite(workloads={"f": f"{mine}:functon"})
    )
    assert f"there is no file {tmp_path}/gone.py" in refusal(
        suite(workloads={"f": f"{tmp_path}/gone.py:f"})
    )
    assert refusal(suite(workloads={"net": f"{tmp_path}/net.onnx"})) == (
        f"s.toml: workloads[0]: there is no file {tmp_path}/net.onnx"
    )


def test_a_recipe_is_for_workloads_and_runtimes_of_its_suite() -> None:
    both = {"vgg": "vgg", "detector": "detector"}

    def limited(**fields: tuple[str, ...]) -> ResolvedSuite:
        recipe = ResolvedRecipe("r", (PassUse("double"),), **fields)
        return suite(workloads=both, recipes=(FP32, ResolvedRecipe("q"), recipe))

    check(limited(workloads=("vgg", "d*"), runtimes=("pytorch",)))
    assert refusal(limited(workloads=("vgg", "detektor"))) == (
        "s.toml: recipes[1].workloads[1]: no workload is 'detektor'; did you mean 'detector'?"
    )
    assert refusal(limited(workloads=("VGG*",))) == (
        "s.toml: recipes[1].workloads[0]: no workload is 'VGG*'; known: detector, vgg"
    )
    assert refusal(limited(workloads=("",))).startswith(
        "s.toml: recipes[1].workloads[0]: no workload is ''"
    )
    # OpenVINO exists, but this suite has not got it.
    assert refusal(limited(runtimes=("openvino",))) == (
        "s.toml: recipes[1].runtimes[0]: no runtime is 'openvino'; known: pytorch"
    )


def test_samples_belong_to_an_onnx_workload(tmp_path: Path) -> None:
    (tmp_path / "net.onnx").write_bytes(b"")
    workloads = {"vgg": "vgg", "net": f"{tmp_path}/net.onnx"}
    assert refusal(suite(workloads=workloads, samples={"vgg": "/x"})) == (
        "s.toml: samples.vgg: no ONNX workload has this name; known: net"
    )
    assert refusal(suite(workloads=workloads, samples={"net": f"{tmp_path}/x.npz"})) == (
        f"s.toml: samples.net: there is no file {tmp_path}/x.npz"
    )
    assert refusal(suite(workloads=workloads, shapes={"vgg": {"x": (1,)}})) == (
        "s.toml: shapes.vgg: no ONNX workload has this name; known: net"
    )


def test_devices_and_precisions_are_those_of_some_runtime(mine: str) -> None:
    assert refusal(suite(precision=("fp32", "fp16"))) == (
        "s.toml: precision[1]: no runtime of this suite has 'fp16'; openvino has it"
    )
    assert refusal(suite(devices=("cuda",))) == (
        "s.toml: devices[0]: no runtime of this suite has 'cuda'; openvino has it"
    )
    check(suite(runtimes=("pytorch", "openvino"), devices=("cpu", "cuda")))
    check(  # what a plug-in can do is not known without importing it
        suite(
            runtimes=("pytorch", "function"),
            runtime_files={"function": f"{mine}:function"},
            devices=("npu",),
        )
    )


def test_a_runtime_of_ones_own_must_not_take_a_known_name(mine: str, tmp_path: Path) -> None:
    (tmp_path / "engine.py").write_text("pytorch = 1")
    files = {"pytorch": f"{tmp_path}/engine.py:pytorch"}
    assert "runtimes[0]: 'pytorch' is a runtime of perfsuite already" in refusal(
        suite(runtime_files=files)
    )


@pytest.mark.parametrize(
    ("name", "fields", "message"),
    [
        ("Prune", {"ration": 0.5}, "recipes[0].passes[1].ration: unknown key; did you mean 'rati"),
        ("Prune", {"ratio": "x"}, "recipes[0].passes[1].ratio: Expected `float`, got `string`"),
        ("Prune", {"layers": ["a", 1]}, "recipes[0].passes[1].layers[1]: Expected `string`"),
        ("Prune", {"ratio": 2}, "s.toml: recipes[0].passes[1]: ratio is 2.0; it must lie between"),
        ("NoPass", {}, "it has neither apply nor fit, rebuild"),
        ("function", {}, "is no pass: a msgspec.Struct class was expected"),
        ("Gone", {}, "has no 'Gone'"),
    ],
)
def test_a_pass_must_accept_its_fields(
    name: str, fields: dict[str, object], message: str, mine: str
) -> None:
    assert message in refusal(with_pass(f"{mine}:{name}", **fields))


@pytest.mark.parametrize("key", ["runtime", "engine"])
def test_the_runtime_that_a_pass_works_for_must_be_there(
    key: str, mine: str, tmp_path: Path
) -> None:
    def pruned_for(runtime: str) -> ResolvedSuite:
        return suite(
            recipes=(FP32, ResolvedRecipe("r", (PassUse(f"{mine}:Tune", {key: runtime}),)))
        )

    check(pruned_for(""))
    check(pruned_for("openvino"))  # in the suite or not
    check(pruned_for(f"{mine}:function"))
    place = f"s.toml: recipes[0].passes[0].{key}: "
    assert refusal(pruned_for("openvin")) == (
        f"{place}unknown runtime 'openvin'; did you mean 'openvino'? (your own: file.py:name)"
    )
    assert refusal(pruned_for(f"{tmp_path}/gone.py:f")).startswith(f"{place}runtime '")


def test_the_former_name_of_a_passes_runtime_is_read(mine: str) -> None:
    use = f"{mine}:Tune"
    old, new = (make_pass(PassUse(use, {key: "openvino"})) for key in ("engine", "runtime"))
    assert old == new
    assert refusal(with_pass(use, engine="openvino", runtime="openvino")) == (
        "s.toml: recipes[0].passes[1].engine: this is the former name of `runtime`, which is "
        "given too; leave it out"
    )
    # A pass that has no `runtime`, or an `engine` of its own, is not meddled with.
    assert "unknown key" in refusal(with_pass(f"{mine}:Prune", engine="openvino"))
    own: Any = make_pass(PassUse(f"{mine}:Steam", {"engine": "two cylinders"}))
    assert (own.engine, own.runtime) == ("two cylinders", "")


@pytest.mark.parametrize("key", ["runtime", "engine"])
def test_the_file_of_a_passes_runtime_is_relative_to_the_suites(key: str, tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text(
        'workloads = ["vgg"]\nruntimes = ["pytorch"]\n[[recipes]]\nname = "small"\n'
        f'passes = [{{ use = "mine.py:Tune", {key} = "mine.py:Mine" }}]\n'
    )
    (use,) = read_suite(path).recipes[1].passes
    assert use.fields == {key: f"{tmp_path}/mine.py:Mine"}


def test_a_model_pass_comes_before_those_on_graphs(mine: str) -> None:
    first, then = PassUse("double", {"times": 2}), PassUse(f"{mine}:Prune")
    check(suite(recipes=(FP32, ResolvedRecipe("r", (then, first)))))
    told = refusal(suite(recipes=(FP32, ResolvedRecipe("r", (first, then)))))
    assert told.startswith(f"s.toml: recipes[0].passes[1]: '{mine}:Prune' changes the torch module")


@pytest.mark.parametrize(
    ("finetune", "message"),
    [
        ({"epoch": 1}, ".epoch: unknown key; did you mean 'epochs'?"),
        (
            {"longest_gradient": 1},
            ".longest_gradient: unknown key; known: averaging, batch, bf16",
        ),
        ({"epochs": 0}, ": epochs is 0; it must be at least 1"),
        ({"peak_rate": "high"}, ".peak_rate: Expected `float`, got `string`"),
        ({"peak_rate": float("inf")}, ".peak_rate: inf is not a finite number"),
        ({"sizes": [[0]]}, ".sizes[0]: Expected `array` of length 2, got 1"),
        ({"teacher": 2}, ": teacher is 2.0; it must be between 0 and 1"),
        ({"optimizer": "sdg"}, ".optimizer: 'sdg' is none of sgd, adam"),
        ({"optimizer": ["sgd"]}, ".optimizer: ['sgd'] is none of sgd, adam"),
        ({"optimizer": "adam", "longest_gradient": 0}, ": longest_gradient is 0.0; it must be abo"),
    ],
)
def test_a_plan_in_a_pass_is_checked_as_everything_is(
    finetune: dict[str, object], message: str, mine: str
) -> None:
    given = {"optimizer": "sgd", "epochs": 2, **finetune}
    place = "s.toml: recipes[0].passes[1].finetune"
    assert refusal(with_pass(f"{mine}:Tune", finetune=given)).startswith(place + message)


def test_a_plan_needs_an_optimizer_and_to_be_a_table(mine: str) -> None:
    place = "s.toml: recipes[0].passes[1].finetune: "
    for given, told in (
        ({"epochs": 2}, "missing key `optimizer`, one of sgd, adam"),
        ({"optimizer": "adam"}, "missing key `epochs`"),
        ("sgd", "Expected `table`, got `string`"),
        ([], "Expected `table`, got `array`"),
    ):
        assert refusal(with_pass(f"{mine}:Tune", finetune=given)) == place + told


def test_a_plan_in_a_suite_becomes_one(mine: str, tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text(
        'workloads = ["vgg"]\nruntimes = ["pytorch"]\n[[recipes]]\nname = "small"\n'
        'passes = [{ use = "mine.py:Tune", finetune = '
        '{ optimizer = "adam", epochs = 4, peak_rate = 1, restarts = [[2, 0.5]], teacher = 0.5 }'
        " }]\n"
    )
    read = read_suite(path)
    check(read)
    made: Any = make_pass(read.recipes[1].passes[0])
    wanted = AdamPlan(epochs=4, peak_rate=1.0, restarts=((2, 0.5),), teacher=0.5)
    assert made.finetune == wanted
    plain: Any = make_pass(PassUse(f"{mine}:Tune", {"finetune": {"optimizer": "sgd", "epochs": 4}}))
    assert plain.finetune == SgdPlan(epochs=4)


def test_make_pass_gives_the_configured_pass(mine: str) -> None:
    made = make_pass(PassUse(f"{mine}:Prune", {"ratio": 0.25, "layers": ["a"]}))
    assert (made.ratio, made.layers) == (0.25, ("a",))  # type: ignore[union-attr]
    assert made.version == 1
    with pytest.raises(ConfigError, match=r"^pass 'double': tims: unknown key; did you mean"):
        make_pass(PassUse("double", {"tims": 1}))
    with pytest.raises(ConfigError, match=r"^here: times: Expected `integer`"):
        make_pass(PassUse("double", {"times": 1.5}), "here")


def test_places_in_the_suite_are_those_in_its_file(mine: str, tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text(
        'workloads = ["vgg"]\nruntimes = ["pytorch"]\n'
        '[[recipes]]\nname = "small"\npasses = [{ use = "mine.py:Prune", ration = 0.5 }]\n'
    )
    assert refusal(read_suite(path)) == (
        "suite.toml: recipes[0].passes[0].ration: unknown key; did you mean 'ratio'?"
    )


def test_what_was_a_workload_is_told_to_be_a_metric() -> None:
    assert refusal(suite(workloads={"vgg": "vgg", "devise-hit5": "devise-hit5"})) == (
        "s.toml: workloads[1]: 'devise-hit5' is no workload any more: name 'devise', whose metric "
        "'hit5' it was, and that metric in budgets"
    )


def test_an_accuracy_that_no_workload_of_a_budget_has() -> None:
    names = {"vgg": "vgg", "detector": "detector"}

    def budgeted(metric: str, cell: str = "*", **more: str) -> ResolvedSuite:
        budget = Budget("b", metric, cell=cell, min=0.5)
        return suite(workloads=names | more, budgets=(budget,))

    assert refusal(budgeted("top-1")) == (
        "s.toml: budgets[0].metric: no workload of this budget has 'top-1'; did you mean 'top1'?"
    )
    assert "did you mean 'mAP'" in refusal(budgeted("mAp", "detector/*"))
    assert "no workload of this budget has 'top1'" in refusal(budgeted("top1", "detector/*"))
    check(budgeted("top1"))
    check(budgeted("latency_s"))


def test_the_accuracy_of_a_users_own_workload_is_not_asked_for(mine: str) -> None:
    own = {"function": f"{mine}:function", "vgg": "vgg"}
    check(suite(workloads=own, budgets=(Budget("b", "dice", min=0.5),)))
