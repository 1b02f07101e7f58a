"""What to do next about a verdict that is not green."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from reported_run import run

from perfsuite.domain.verdict import Reason, Verdict
from perfsuite.report.sentences.next_step import next_step

KEY = "vgg16-cifar10/int8/openvino/cpu/b1"


def verdict(status: Any, check: Any, metric: str = "latency_s", **more: Any) -> Verdict:
    return Verdict(status, "a limit", KEY, metric, check, **({"unit": "s"} | more))


def command(found: Verdict) -> str:
    step = next_step(found, run())
    assert step is not None
    return step.command


@pytest.mark.parametrize("status", ["pass", "missing", "incomparable"])
def test_what_says_itself_how_to_mend_it_needs_no_advice(status: str) -> None:
    assert next_step(verdict(status, "min_speedup"), run()) is None


def test_a_run_that_was_cut_short_is_to_be_finished() -> None:
    for kind in ("cut_short", "not_run"):
        found = verdict("missing", "min_speedup", reason=Reason(kind))
        assert command(found) == "perfsuite run SUITE.toml --resume -o RUN"
        # Of its baseline another run is to be finished, which the sentence says.
        found = verdict("missing", "regression", reason=Reason(kind, "baseline"))
        assert next_step(found, run()) is None
    assert next_step(verdict("missing", "ok", reason=Reason("no_breakdown")), run()) is None


def test_too_slow_names_the_bottleneck_and_a_search() -> None:
    step = next_step(verdict("over_budget", "min_speedup", limit=20.0), run())
    assert step is not None
    assert step.words.startswith("features holds the model back")
    assert step.command == "perfsuite optimize vgg16-cifar10 --speedup 20 --max-drop-points 1"


def test_without_a_breakdown_it_is_to_be_profiled() -> None:
    found = run()
    records = {
        name: msgspec.structs.replace(one, breakdown=None) for name, one in found.records.items()
    }
    found = msgspec.structs.replace(found, records=records)
    step = next_step(verdict("over_budget", "min_speedup", limit=20.0), found)
    assert step is not None
    assert step.command == "perfsuite profile vgg16-cifar10 --runtime openvino"


def test_points_lost_ask_which_layers_lose_them() -> None:
    found = run()
    recipe = msgspec.json.decode(
        b'{"name": "int8", "passes": [{"use": "int8", "fields": {}}]}',
        type=type(found.header.suite.recipes[0]),
    )
    suite = msgspec.structs.replace(found.header.suite, recipes=(recipe,))
    found = msgspec.structs.replace(
        found, header=msgspec.structs.replace(found.header, suite=suite)
    )
    step = next_step(verdict("over_budget", "max_drop_points", "top1", unit=""), found)
    assert step is not None
    assert step.command == ("perfsuite sensitivity vgg16-cifar10 --pass int8 --runtime openvino")


def test_too_close_to_tell_asks_for_more_of_what_is_lacking() -> None:
    more_processes = next_step(verdict("inconclusive", "min_speedup"), run())
    more_samples = next_step(verdict("inconclusive", "max_drop_points", "top1", unit=""), run())
    assert more_processes is not None
    assert "more processes than 4" in more_processes.words
    assert more_samples is not None
    assert "All samples were answered" in more_samples.words
    assert "--baseline" in command(verdict("inconclusive", "regression", noise="unknown"))


def test_what_failed_is_run_anew_because_it_is_not_tried_again() -> None:
    assert command(verdict("failed", "status")) == "perfsuite run SUITE.toml"
