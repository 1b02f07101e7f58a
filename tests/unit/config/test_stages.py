"""What a suite may say about stages, and what follows for its jobs."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite.config import cells, check, read_suite
from perfsuite.config.expansion import inspected_in_rounds
from perfsuite.config.run_plan import plan
from perfsuite.domain.suite import Inspect
from perfsuite.errors import ConfigError

HEAD = """
workloads = ["vgg-digits", "vgg16-cifar10"]
runtimes = ["pytorch", "openvino"]
processes = 3
"""
BUDGET = '[[budgets]]\nname = "b"\nmetric = "stage_s"\n'


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "suite.toml"
    path.write_text(HEAD + text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{BUDGET}max = 1.0", 'stage_s is the time of one stage; say which: stage = "<its name>"'),
        (
            '[[budgets]]\nname = "b"\nmetric = "latency_s"\nmax_share = 0.2',
            'budgets[0].max_share: is a stage\'s part of the call; say which: metric = "stage_s"',
        ),
        (
            '[[budgets]]\nname = "b"\nmetric = "latency_s"\nstage = "rpn"\nmax = 1.0',
            "budgets[0].metric: a stage's time has the metric 'stage_s', and this is 'latency_s'",
        ),
        (f'{BUDGET}stage = "rpn"', "has no limit; give exactly one of min_speedup"),
        (f'{BUDGET}stage = "rpn"\nmax_share = 0.2\nmax = 1', "has max and max_share"),
        (f'{BUDGET}stage = "rpn"\nmax_share = 20', "budgets[0].max_share: Expected `float` <= 1"),
        (f'{BUDGET}stage = ""\nmax_share = 0.2', "budgets[0].stage: Expected `string` of length"),
        (f'{BUDGET}stage = "rpn"\nmax_share = 0.2\nagainst = "x"', "max_share: is absolute"),
        (f'{BUDGET}stage = "rpn"\nmax_increase = 0.2', "max_increase: needs a reference"),
        (
            f'{BUDGET}stage = "rpn"\nmax_share = 0.2\nstatistic = "p95"',
            "statistic: p95 is of latency_s alone",
        ),
        (f'{BUDGET}stag = "rpn"\nmax = 1', "budgets[0].stag: unknown key; did you mean 'stage'?"),
        (
            '[[budgets]]\nname = "b"\nmetric = "stages_s"\nmax = 1',
            "'stages_s' is not measured; did you mean 'stage_s'?",
        ),
    ],
)
def test_a_budget_on_a_stage_that_makes_no_sense_is_refused(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read_suite(written(tmp_path, text))
    assert message in str(caught.value)


def test_a_stage_that_no_workload_declares_is_refused_before_anything_runs(tmp_path: Path) -> None:
    check(read_suite(written(tmp_path, f'{BUDGET}stage = "features"\nmax_share = 0.9')))
    check(read_suite(written(tmp_path, f'{BUDGET}stage = "unattributed"\nmax_share = 0.05')))
    suite = read_suite(written(tmp_path, f'{BUDGET}stage = "feature"\nmax_share = 0.9'))
    with pytest.raises(ConfigError, match=r"budgets\[0\]\.stage: no workload .* 'features'\?"):
        check(suite)


def test_a_suite_that_judges_stages_profiles_for_longer(tmp_path: Path) -> None:
    assert read_suite(written(tmp_path, "")).inspect == Inspect()
    longer = read_suite(written(tmp_path, f'{BUDGET}stage = "features"\nmax_share = 0.9')).inspect
    assert longer.calls > Inspect().calls
    assert longer.seconds > Inspect().seconds


def rounds_of(tmp_path: Path, budget: str, more: str = "") -> list[str]:
    suite = read_suite(written(tmp_path, f'{more}\n{BUDGET}stage = "features"\n{budget}'))
    return [cell.key for cell in inspected_in_rounds(suite, cells(suite))]


def test_which_cells_are_inspected_in_rounds(tmp_path: Path) -> None:
    digits = "vgg-digits/fp32/openvino/cpu/b1"
    eager = "vgg-digits/fp32/pytorch/cpu/b1"
    one = f'cell = "{digits}"\n'
    assert rounds_of(tmp_path, f"{one}max_share = 0.2") == [digits]
    assert rounds_of(tmp_path, f'{one}against = "{eager}"\nmax_increase = 0.2') == [eager, digits]
    assert rounds_of(tmp_path, f"{one}baseline = true\nmax_increase = 0.2") == [digits]
    by_ratio = rounds_of(
        tmp_path, f"{one}baseline = true\nmax_increase = 0.2", more='compare = "ratio"'
    )
    assert by_ratio == [eager, digits]


def test_the_plan_counts_their_processes(tmp_path: Path) -> None:
    text = f'{BUDGET}stage = "features"\nmax_share = 0.9\ncell = "vgg-digits/*/openvino/*"'
    suite = read_suite(written(tmp_path, text))
    counts = {
        job.cell: job.count for job in plan(suite, cells(suite), {}).jobs if job.kind == "inspect"
    }
    assert counts == {
        "vgg-digits/fp32/pytorch/cpu/b1": 1,
        "vgg-digits/fp32/openvino/cpu/b1": 3,
        "vgg16-cifar10/fp32/pytorch/cpu/b1": 1,
        "vgg16-cifar10/fp32/openvino/cpu/b1": 1,
    }


@pytest.mark.parametrize(("cell", "told"), [("*/small/*", ""), ("*/fp32/*", "has 'conv5'")])
def test_a_student_has_stages_of_its_own(tmp_path: Path, cell: str, told: str) -> None:
    student = '{ use = "distill", student = "shufflenet-x0.5", untrained = true }'
    recipe = f'[[recipes]]\nname = "small"\npasses = [{student}]\n'
    limit = f'{BUDGET}cell = "{cell}"\nstage = "conv5"\nmax_share = 0.5\n'
    suite = read_suite(written(tmp_path, f"{limit}\n{recipe}"))
    if told:
        with pytest.raises(ConfigError, match=told):
            check(suite)
    else:
        check(suite)
