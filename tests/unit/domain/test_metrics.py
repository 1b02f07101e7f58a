"""The table of metrics, and what a metric may be called."""

from __future__ import annotations

import msgspec
import pytest

from perfsuite.domain.metrics import METRICS, Metric, known_metrics


def test_each_is_found_by_its_name_and_says_its_unit_in_it() -> None:
    endings = {"s": "_s", "B": "_bytes", "1/s": "_per_s", "1": ""}
    for name, metric in METRICS.items():
        assert name == metric.name
        assert name.endswith(endings[metric.unit])


def test_what_is_counted_or_a_size_needs_no_machine_and_a_time_does() -> None:
    bound = {name for name, metric in METRICS.items() if metric.machine_bound}
    assert bound == {name for name, metric in METRICS.items() if metric.unit in ("s", "1/s")}


@pytest.mark.parametrize("name", ["", "stage_s/rpn", "energy j", "1_j", "énergie j"])
def test_names_that_nothing_can_hold(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be called"):
        Metric(name, "J")


def test_the_table_wins_over_a_definition_of_the_same_name() -> None:
    ours, theirs = METRICS["latency_s"], Metric("latency_s", "ms")
    energy = Metric("energy_j", "J")
    known = known_metrics((theirs, energy))
    assert known["latency_s"] == ours
    assert known["energy_j"] == energy


def test_it_is_stored_and_read_again() -> None:
    metric = Metric("energy_j", "J", "energy", floor=0.05)
    stored = msgspec.json.encode(metric)
    assert stored == b'{"name":"energy_j","unit":"J","title":"energy","floor":0.05}'
    assert msgspec.json.decode(stored, type=Metric) == metric
    assert (metric.heading, Metric("energy_j", "J").heading) == ("energy", "energy_j")
