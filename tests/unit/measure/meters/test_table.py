"""Which meters there are, and what is refused as one."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfsuite.domain.metrics import METRICS, Metric
from perfsuite.errors import ConfigError
from perfsuite.measure.meters.table import METERS, definitions, load_meter

METER = """
from perfsuite import Metric

class Meter:
    metrics = {metrics}
    def start(self, phase, device): pass
    def stop(self, phase, calls): return {{}}

class Other(Meter):
    pass

class Half:
    metrics = Meter.metrics
    def start(self, phase, device): pass

def function(): pass
"""


def meter(folder: Path, metrics: str, name: str = "Meter") -> str:
    path = folder / "meter.py"
    path.write_text(METER.format(metrics=metrics))
    return f"{path}:{name}"


@pytest.mark.parametrize("name", sorted(METERS))
def test_those_that_ship_give_metrics_of_the_table_or_define_them(name: str) -> None:
    metrics = load_meter(name).metrics
    assert metrics
    assert all(METRICS.get(metric.name, metric) == metric for metric in metrics)
    assert definitions((name,)) == tuple(one for one in metrics if one.name not in METRICS)


def test_what_a_plug_in_defines(tmp_path: Path) -> None:
    reference = meter(tmp_path, '(Metric("energy_j", "J", floor=0.05),)')
    assert definitions(("memory", reference)) == (Metric("energy_j", "J", floor=0.05),)


@pytest.mark.parametrize(
    ("metrics", "name", "message"),
    [
        ('(Metric("energy_j", "J"),)', "function", "is no meter: a class was expected"),
        ('[Metric("energy_j", "J")]', "Meter", "is no meter: a class was expected"),
        ('("energy_j",)', "Meter", "is no meter: a class was expected"),
        ("()", "Meter", "is no meter: a class was expected"),
        ('(Metric("energy_j", "J"),)', "Half", "is no meter: it has no stop"),
        ('(Metric("latency_s", "s"),)', "Meter", "'latency_s', which perfsuite measures itself"),
        ('(Metric("energy j", "J"),)', "Meter", "a metric cannot be called 'energy j'"),
    ],
)
def test_what_is_no_meter(tmp_path: Path, metrics: str, name: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load_meter(meter(tmp_path, metrics, name))


def test_two_meters_of_one_metric(tmp_path: Path) -> None:
    reference = meter(tmp_path, '(Metric("energy_j", "J"),)')
    with pytest.raises(ConfigError, match=r"'energy_j' is defined by .*:Meter' and by .*:Other'"):
        definitions((reference, reference.replace("Meter", "Other")))


def refused(folder: Path, metrics: str) -> tuple[str, str]:
    folder.mkdir()
    reference = meter(folder, metrics)
    with pytest.raises(ConfigError) as caught:
        load_meter(reference)
    return str(caught.value), reference


def test_messages_name_the_meter_and_the_way_out(tmp_path: Path) -> None:
    text, reference = refused(tmp_path / "none", "()")
    assert text == (
        f"'{reference}' is no meter: a class was expected whose `metrics` is a tuple of Metric"
    )
    text, reference = refused(tmp_path / "ours", '(Metric("load_s", "s"),)')
    assert text == (
        f"'{reference}' defines 'load_s', which perfsuite measures itself; choose another name"
    )
    bare = tmp_path / "bare.py"
    bare.write_text(
        "from perfsuite import Metric\nclass M:\n    metrics = (Metric('energy_j', 'J'),)\n"
    )
    with pytest.raises(ConfigError, match=r"is no meter: it has no start and no stop$"):
        load_meter(f"{bare}:M")
    reference = meter(tmp_path, '(Metric("energy_j", "J"),)')
    other = reference.replace("Meter", "Other")
    with pytest.raises(ConfigError) as caught:
        definitions((reference, other))
    assert str(caught.value) == (
        f"'energy_j' is defined by '{reference}' and by '{other}'; leave one of these meters out"
    )
    with pytest.raises(ConfigError, match=r"^unknown meter 'memry'; did you mean 'memory'"):
        load_meter("memry")
