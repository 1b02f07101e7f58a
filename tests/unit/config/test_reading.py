"""What a suite file may say, and what each mistake is answered with."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite.config import read_suite
from perfsuite.domain.looks import Looks
from perfsuite.domain.recipe import FP32, PassUse, ResolvedRecipe
from perfsuite.domain.suite import Budget, Evaluate, Expect, Inspect, Measure
from perfsuite.errors import ConfigError

HEAD = 'workloads = ["vgg"]\nruntimes = ["pytorch", "openvino"]\n'
BUDGET = '[[budgets]]\nname = "b"\n'


def written(tmp_path: Path, text: str, name: str = "suite.toml") -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        read_suite(written(tmp_path, text))
    return str(caught.value)


def test_a_small_suite_gets_the_defaults(tmp_path: Path) -> None:
    suite = read_suite(written(tmp_path, HEAD, "small.toml"))
    assert suite.name == "small"
    assert suite.workloads == {"vgg": "vgg"}
    assert suite.runtimes == ("pytorch", "openvino")
    assert suite.recipes == (FP32,)
    assert (suite.devices, suite.precision, suite.batches) == (("cpu",), ("fp32",), (1,))
    assert (suite.threads, suite.compare) == (None, "absolute")
    assert (suite.processes, suite.looks, suite.minutes) == (24, Looks(4, 24), None)
    assert (suite.evaluate, suite.measure) == (Evaluate(), Measure())


def test_samples_may_be_held_out_and_answered(tmp_path: Path) -> None:
    assert read_suite(written(tmp_path, HEAD)).hold_out is False
    asked = 'hold_out = true\nevaluate = { split = "validation", samples = 9 }'
    suite = read_suite(written(tmp_path, HEAD + asked))
    assert suite.hold_out is True
    assert suite.evaluate == Evaluate(9, "validation")
    assert refusal(tmp_path, HEAD + 'evaluate = { split = "val" }') == (
        "suite.toml: evaluate.split: 'val' is none of test, validation"
    )
    assert "hold_out: Expected `boolean`" in refusal(tmp_path, HEAD + 'hold_out = "yes"')


def test_the_roofline_is_measured_where_it_is_asked_for(tmp_path: Path) -> None:
    assert read_suite(written(tmp_path, HEAD)).inspect == Inspect()
    assert read_suite(written(tmp_path, HEAD + "roofline = true")).inspect == Inspect(roofline=True)
    assert "roofline: Expected `boolean`" in refusal(tmp_path, HEAD + 'roofline = "yes"')


def test_processes_may_follow_from_what_is_measured(tmp_path: Path) -> None:
    suite = read_suite(written(tmp_path, HEAD + 'processes = "auto"'))
    assert (suite.processes, suite.looks, suite.least_processes) == (24, Looks(4, 24), 4)
    suite = read_suite(written(tmp_path, HEAD + 'processes = "auto"\nmax_processes = 9'))
    assert (suite.processes, suite.looks) == (9, Looks(4, 9))
    limits = "max_processes = 9\nminutes = 10\nspeedups_within = 0.1"
    suite = read_suite(written(tmp_path, HEAD + limits))
    assert (suite.processes, suite.looks, suite.minutes) == (9, Looks(4, 9), 10.0)
    assert suite.speedups_within == 0.1
    suite = read_suite(written(tmp_path, HEAD + "processes = 3"))
    assert (suite.processes, suite.looks, suite.least_processes) == (3, None, 3)


def test_a_whole_suite_keeps_all_that_it_says(tmp_path: Path) -> None:
    suite = read_suite(
        written(
            tmp_path,
            """
            workloads = ["vgg", "nets/mine.py:resnet", "nets/detector.onnx"]
            runtimes = ["pytorch", "engine.py:Mine"]
            batches = [1, 8]
            threads = 2
            processes = 4
            evaluate = { samples = 100 }
            measure = { calls = 1000, seconds = 2 }
            samples = { detector = "faces.npz" }
            shapes = { detector = { image = ["batch", 3, "?", "?"] } }
            compare = "ratio"
            [[recipes]]
            name = "small"
            passes = [{ use = "prune.py:Prune", ratio = 0.5 }, { use = "int8" }]
            [[expect]]
            recipe = "small"
            status = "unsupported"
            reason = "why"
            [[budgets]]
            name = "fast"
            metric = "latency_s"
            statistic = "p99"
            baseline = true
            max_increase = 0.05
            """,
        )
    )
    assert suite.workloads == {
        "vgg": "vgg",
        "resnet": f"{tmp_path}/nets/mine.py:resnet",
        "detector": f"{tmp_path}/nets/detector.onnx",
    }
    assert suite.runtimes == ("pytorch", "Mine")
    assert suite.runtime("Mine") == f"{tmp_path}/engine.py:Mine"
    assert suite.runtime("pytorch") == "pytorch"
    assert suite.recipes == (
        FP32,
        ResolvedRecipe(
            "small", (PassUse(f"{tmp_path}/prune.py:Prune", {"ratio": 0.5}), PassUse("int8"))
        ),
    )
    assert suite.samples == {"detector": f"{tmp_path}/faces.npz"}
    assert suite.shapes == {"detector": {"image": ("batch", 3, "?", "?")}}
    assert suite.measure == Measure(calls=1000, seconds=2.0)
    assert suite.expect == (Expect(status="unsupported", reason="why", recipe="small"),)
    assert suite.budgets == (
        Budget(name="fast", metric="latency_s", statistic="p99", baseline=True, max_increase=0.05),
    )
    assert (suite.batches, suite.threads, suite.compare) == ((1, 8), 2, "ratio")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # unknown keys, at each level
        (HEAD + "batch = [1]", "suite.toml: batch: unknown key; did you mean 'batches'?"),
        (HEAD + "evaluate = { sample = 1 }", "evaluate.sample: unknown key; did you mean"),
        (HEAD + "measure = { call = 1 }", "measure.call: unknown key; did you mean 'calls'?"),
        (HEAD + '[[recipes]]\nnane = "x"', "recipes[0].nane: unknown key; did you mean 'name'?"),
        (HEAD + '[[expect]]\nengine = "x"', "expect[0].engine: unknown key; known: device"),
        (HEAD + '[[budgets]]\n"a b" = 1', 'budgets[0]."a b": unknown key'),
        # wrong types
        (HEAD + 'batches = [1, "2"]', "suite.toml: batches[1]: Expected `integer`, got `string`"),
        (HEAD + "batches = 1", "suite.toml: batches: Expected `array`, got `integer`"),
        (HEAD + "batches = [1.5]", "batches[0]: Expected `integer`"),
        (HEAD + "threads = true", "threads: Expected `integer`, got `boolean`"),
        (HEAD + "evaluate = 3", "evaluate: Expected `table`, got `integer`"),
        (HEAD + "samples = { x = 3 }", "samples.x: the path of a samples file"),
        (HEAD + "shapes = { net = { x = [1, 0] } }", "shapes.net.x[1]: 0 is no side"),
        (HEAD + 'compare = "ration"', "compare: 'ration' is none of absolute, ratio"),
        ('workloads = ["vgg"]', "suite.toml: missing key `runtimes`"),
        # numbers out of range
        (HEAD + "batches = [-1]", "batches[0]: Expected `integer` >= 1"),
        (HEAD + "batches = [0]", "batches[0]: Expected `integer` >= 1"),
        (HEAD + "threads = 0", "threads: Expected `integer` >= 1"),
        (HEAD + "minutes = 0", "minutes: Expected `float` > 0"),
        (HEAD + "minutes = -1.5", "minutes: Expected `float` > 0"),
        (HEAD + "minutes = nan", "minutes: nan is not a finite number"),
        (HEAD + 'minutes = "ten"', "minutes: Expected `float`, got `string`"),
        (HEAD + "processes = -4", "processes: Expected `integer` >= 1"),
        (HEAD + "processes = true", "processes: Expected `integer or string`, got `boolean`"),
        (HEAD + 'processes = "many"', "processes: a number or 'auto' was expected, not 'many'"),
        (HEAD + "processes = 4\nmax_processes = 8", 'max_processes: is for processes = "auto"'),
        (
            HEAD + "processes = 3\nminutes = 5",
            'minutes: is for processes = "auto", and processes is 3; remove one of them',
        ),
        (
            HEAD + 'processes = "auto"\nmax_processes = 3',
            "max_processes: is 3, and verdicts are first looked at after 4 processes",
        ),
        (HEAD + "evaluate = { samples = 0 }", "evaluate.samples: Expected `integer` >= 1"),
        (HEAD + "measure = { seconds = -1 }", "measure.seconds: Expected `float` >= 0"),
        (HEAD + "measure = { seconds = inf }", "measure.seconds: inf is not a finite number"),
        (HEAD + "batches = [99999999999999999999]", "batches[0]: an integer beyond 64 bits"),
        # lists
        ('workloads = []\nruntimes = ["x"]', "workloads: Expected `array` of length >= 1"),
        (HEAD + "batches = [1, 2, 1]", "batches[2]: 1 stands at [0] already"),
        (HEAD + 'devices = ["cpu", "cpu"]', "devices[1]: 'cpu' stands at [0] already"),
        ('workloads = ["a/x.onnx", "b/x.onnx"]\nruntimes = ["r"]', "workloads[1]: a second 'x'"),
        # names
        ('workloads = ["a b"]\nruntimes = ["r"]', "workloads[0]: 'a b' cannot be a name"),
        ('workloads = ["a/b"]\nruntimes = ["r"]', "workloads[0]: 'a/b' cannot be a name"),
        ('workloads = ["a*"]\nruntimes = ["r"]', "workloads[0]: 'a*' cannot be a name"),
        ('workloads = [""]\nruntimes = ["r"]', "workloads[0]: '' cannot be a name"),
        ('workloads = ["a.py:b-c"]\nruntimes = ["r"]', "workloads[0]: 'b-c' is no name in a"),
        ('workloads = ["a[1].onnx"]\nruntimes = ["r"]', "workloads[0]: 'a[1]' cannot be a name"),
        (HEAD + 'precision = ["fp 32"]', "precision[0]: 'fp 32' cannot be a name"),
        # recipes
        (HEAD + '[[recipes]]\nname = "x"\npasses = []', "recipes[0].passes: Expected `array` of"),
        (HEAD + '[[recipes]]\nname = "x"\npasses = [{ a = 1 }]', "passes[0]: missing key `use`"),
        (HEAD + '[[recipes]]\nname = "x"\npasses = [{ use = 1 }]', "passes[0].use: a pass is"),
        (
            HEAD + '[[recipes]]\nname = "x"\npasses = [{ use = "p", ratio = nan }]',
            "recipes[0].passes[0].ratio: nan is not a finite number",
        ),
        (
            HEAD + '[[recipes]]\nname = "fp32"\npasses = [{ use = "p" }]',
            "recipes[0].name: 'fp32' is the recipe without passes",
        ),
        (
            HEAD + '[[recipes]]\nname = "x"\npasses = [{ use = "p" }]\n' * 2,
            "recipes[1].name: a second recipe 'x'",
        ),
    ],
)
def test_a_mistake_is_refused_with_its_place(tmp_path: Path, text: str, message: str) -> None:
    assert message in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('metric = "top1"', "budgets[0]: budget 'b' has no limit; give exactly one of min_speedup"),
        ('metric = "top1"\nmin = 0.9\nmax = 1', "budgets[0]: budget 'b' has max and min"),
        ('metric = "latency_s"\nmax = -1', "budgets[0].max: Expected `float` >= 0"),
        ('metric = "latency_s"\nmax = nan', "budgets[0].max: nan is not a finite number"),
        ('metric = "latency_s"\nmin_speedup = 0', "min_speedup: Expected `float` > 0"),
        ('metric = "latency_s"\nmin_speedup = 2', "budgets[0].min_speedup: needs a reference"),
        (
            'metric = "latency_s"\nmin_speedup = 2\nagainst = "x"\nbaseline = true',
            "budgets[0].baseline: the reference is either",
        ),
        ('metric = "latency_s"\nmax = 2\nagainst = "x"', "budgets[0].max: is absolute"),
        (
            'metric = "top1"\nmin_speedup = 2\nbaseline = true',
            "budgets[0].min_speedup: is for times and sizes, and 'top1' is neither",
        ),
        (
            'metric = "macs"\nmin_realised = 0.8\nagainst = "x"',
            "budgets[0].min_realised: is the share of a theoretical speed-up that the clock shows: "
            "it wants the metric latency_s, and this is 'macs'",
        ),
        (
            'metric = "latency_s"\nmin_realised = 0.8\nbaseline = true',
            "budgets[0].min_realised: needs the cell of this run that was compressed: against",
        ),
        ('metric = "latency_s"\nmin_realised = 0', "min_realised: Expected `float` > 0"),
        (
            'metric = "latency_s"\nmin_realized = 0.8',
            "budgets[0].min_realized: unknown key; did you mean 'min_realised'?",
        ),
        (
            'metric = "latency_s"\nmin_realised = 0.8\nmin_speedup = 2\nagainst = "x"',
            "budgets[0]: budget 'b' has min_speedup and min_realised",
        ),
        (
            'metric = "throughput_per_s"\nmin_speedup = 2\nbaseline = true',
            "budgets[0].min_speedup: is for times and sizes",
        ),
        (
            'metric = "latency_s"\nmax_drop_points = 1\nbaseline = true',
            "budgets[0].max_drop_points: is for accuracies",
        ),
        (
            'metric = "latency"\nmax = 1',
            "budgets[0].metric: 'latency' is not measured; did you mean 'latency_s'?",
        ),
        ('metric = "params"\nmax = 1', "did you mean 'parameters'?"),
        (
            'metric = "latncy_s"\nmax = 1',
            "budgets[0].metric: 'latncy_s' is not measured; did you mean 'latency_s'?",
        ),
        (
            'metric = "latency_s"\nmax = 1\nstatistic = "p99"',
            "p99 wants 1000 calls a process and measure.calls is 30; set measure",
        ),
        ('metric = "load_s"\nmax = 1\nstatistic = "p95"', "statistic: p95 is of latency_s alone"),
        ('metric = "load_s"\nmax = 1\nstatistic = "p90"', "statistic: 'p90' is none of median"),
        (f'metric = "load_s"\nmax = 1\n{BUDGET}metric = "top1"\nmin = 1', "budgets[1].name: 'b'"),
    ],
)
def test_a_budget_that_nothing_can_be_held_to_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    assert message in refusal(tmp_path, HEAD + BUDGET + text)


def test_p99_is_allowed_with_enough_calls(tmp_path: Path) -> None:
    text = f'{HEAD}measure = {{ calls = 1000 }}\n{BUDGET}metric = "latency_s"\nmax = 1\n'
    assert read_suite(written(tmp_path, text + 'statistic = "p99"')).budgets[0].max == 1.0


def test_broken_toml_is_refused_with_line_and_column(tmp_path: Path) -> None:
    message = refusal(tmp_path, 'workloads = ["a"]\nruntimes = = 3\n')
    assert message.startswith("suite.toml: not valid TOML")
    assert "line 2, column 12" in message


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such suite file"):
        read_suite(tmp_path / "gone.toml")
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        read_suite(tmp_path)
    (tmp_path / "latin.toml").write_bytes(b"# caf\xe9")
    with pytest.raises(ConfigError, match=r"latin.toml: not UTF-8 text \(byte 5\)"):
        read_suite(tmp_path / "latin.toml")
    (tmp_path / "deep.toml").write_text("x = " + "[" * 100_000)
    with pytest.raises(ConfigError, match=r"deep\.toml: "):
        read_suite(tmp_path / "deep.toml")


def test_paths_are_relative_to_the_file_and_not_to_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "suites").mkdir()
    written(tmp_path / "suites", 'workloads = ["../net.py:build"]\nruntimes = ["r"]')
    monkeypatch.chdir(tmp_path)
    suite = read_suite(Path("suites/suite.toml"))
    assert suite.workloads == {"build": f"{tmp_path}/net.py:build"}


def test_a_recipe_says_whom_it_is_for(tmp_path: Path) -> None:
    recipe = '[[recipes]]\nname = "r"\npasses = [{ use = "int8" }]\n'
    limits = 'workloads = ["vgg", "v*"]\nruntimes = ["openvino"]\n'
    suite = read_suite(written(tmp_path, HEAD + recipe + limits))
    expected = ResolvedRecipe("r", (PassUse("int8"),), ("vgg", "v*"), ("openvino",))
    assert suite.recipes == (FP32, expected)
    assert read_suite(written(tmp_path, HEAD + recipe)).recipes[1].workloads == ()
    for key, text in (("workloads", '"vgg"'), ("runtimes", "[1]")):
        message = refusal(tmp_path, f"{HEAD}{recipe}{key} = {text}")
        assert f"recipes[0].{key}" in message and "Expected" in message
    assert "recipes[0].workload: unknown key; did you mean 'workloads'?" in refusal(
        tmp_path, HEAD + recipe + 'workload = ["vgg"]'
    )
