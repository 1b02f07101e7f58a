"""The meters that a suite names, and budgets on what they give."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite.config import check, read_suite
from perfsuite.errors import ConfigError

METER = """
from perfsuite import Metric

class Rapl:
    metrics = (Metric("energy_j", "J"), Metric("life_h", "h", better="higher"))
    def start(self, phase, device): pass
    def stop(self, phase, calls): return {}
"""
SUITE = """
workloads = ["vgg-digits"]
runtimes = ["fake"]
meters = [{meters}]

[[budgets]]
name = "b"
{budget}
"""


def checked(folder: Path, budget: str, meters: str = '"memory", "energy.py:Rapl"') -> None:
    (folder / "energy.py").write_text(METER)
    path = folder / "suite.toml"
    path.write_text(SUITE.format(meters=meters, budget=budget))
    check(read_suite(path))


def test_left_out_it_is_memory_and_a_path_is_made_absolute(tmp_path: Path) -> None:
    path = tmp_path / "suite.toml"
    path.write_text('workloads = ["vgg-digits"]\nruntimes = ["fake"]\n')
    assert read_suite(path).meters == ("memory",)
    path.write_text(path.read_text() + 'meters = ["energy.py:Rapl"]\n')
    assert read_suite(path).meters == (f"{tmp_path}/energy.py:Rapl",)


@pytest.mark.parametrize(
    "budget",
    [
        'metric = "energy_j"\nmax = 0.1',
        'metric = "energy_j"\nmax_increase = 0.1\nbaseline = true',
        'metric = "energy_j"\nmin_speedup = 2\nbaseline = true',
        'metric = "life_h"\nmin = 1',
        'metric = "top1"\nmin = 0.5',
        'metric = "top1"\nmax_drop_points = 1\nbaseline = true',
        'metric = "latency_s"\nmax = 1',
    ],
)
def test_budgets_that_are_taken(tmp_path: Path, budget: str) -> None:
    checked(tmp_path, budget)


@pytest.mark.parametrize(
    ("budget", "message"),
    [
        ('metric = "enrgy_j"\nmax = 1', "'enrgy_j' is not measured; did you mean 'energy_j'?"),
        ('metric = "power_j"\nmax = 1', "'power_j' is not measured"),
        ('metric = "latency"\nmax = 1', "'latency' is not measured; did you mean 'latency_s'?"),
        ('metric = "top5"\nmax = 1', "no workload of this budget has 'top5'"),
        (
            'metric = "energy_j"\nmax_drop_points = 1\nbaseline = true',
            "is for accuracies, such as top1, and 'energy_j' is none",
        ),
        (
            'metric = "life_h"\nmax_increase = 0.1\nbaseline = true',
            "is for times and sizes, and 'life_h' is neither",
        ),
        ('metric = "energy_j"\nstatistic = "p95"\nmax = 1', "is of latency_s alone"),
    ],
)
def test_budgets_that_are_refused(tmp_path: Path, budget: str, message: str) -> None:
    with pytest.raises(ConfigError) as error:
        checked(tmp_path, budget)
    assert message in str(error.value)
    assert str(error.value).startswith("suite.toml: budgets[0]")


@pytest.mark.parametrize(
    ("meters", "message"),
    [
        ('"memry"', r"meters\[0\]: unknown meter 'memry'; did you mean 'memory'\?"),
        ('"memory", "energy.py:Rpl"', r"meters\[1\]: .* has no 'Rpl'; did you mean 'Rapl'\?"),
        ('"memory", "memory"', r"meters\[1\]: 'memory' stands at \[0\] already"),
        ('"memory", "energy.py:metrics"', r"meters\[1\]: "),
    ],
)
def test_meters_that_are_refused(tmp_path: Path, meters: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        checked(tmp_path, 'metric = "latency_s"\nmax = 1', meters)


def test_without_its_meter_the_metric_is_not_measured(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"budgets\[0\]\.metric: 'energy_j'|no workload"):
        checked(tmp_path, 'metric = "energy_j"\nmax = 0.1', '"memory"')
