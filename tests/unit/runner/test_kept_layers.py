"""Layers that INT8 leaves in float: on record with the reason, in tables, and without a warning."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest
from fake_runs import here
from outlier_net import outlier_net, pictures
from rich.console import Console

from perfsuite import api
from perfsuite.judged_run import JudgedRun
from perfsuite.report import print_run
from perfsuite.runner import schedule
from perfsuite.runner.build import artifacts
from perfsuite.store.cache import Cache

SUITE = """
workloads = ["net.onnx"]
runtimes  = ["onnxruntime"]
threads   = 1
processes = 1
measure   = { calls = 3, seconds = 0.0, warmup_seconds = 0.0 }
samples   = { net = "samples.npz" }

[[recipes]]
name   = "by-hand"
passes = [{ use = "int8", keep = ["b*.bad", "body.a", "first", "head"] }]

[[recipes]]
name   = "auto"
passes = [{ use = "int8", keep = "auto", max_drop_points = 1.0 }]

[[recipes]]
name   = "unknown"
passes = [{ use = "int8", keep = ["body.bda"] }]
"""


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> JudgedRun:
    folder = tmp_path_factory.mktemp("kept")
    onnx.save(outlier_net(), folder / "net.onnx")
    np.savez(folder / "samples.npz", x=pictures(128))
    (folder / "suite.toml").write_text(SUITE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PERFSUITE_CELL", "")
        patch.setattr(api, "work_off", lambda j, o, **k: schedule.work_off(j, o, here, **k))
        return api.run(folder / "suite.toml", folder / "run")


def left(judged: JudgedRun, recipe: str) -> dict[str, str]:
    (record,) = (one for one in judged.run.records.values() if one.cell.recipe == recipe)
    return record.left


def test_what_was_kept_and_why_is_on_record(judged: JudgedRun) -> None:
    names = ["first", "body.a", "body.bad", "head"]
    assert left(judged, "by-hand") == dict.fromkeys(names, "as the recipe asks for")
    assert left(judged, "fp32") == {}


def test_the_guilty_layers_are_named(judged: JudgedRun) -> None:
    """ONNX Runtime rounds a result at once, so that the layer before the bad one is guilty too."""
    found = left(judged, "auto")
    assert set(found) <= {"body.a", "body.bad"} and found
    for why in found.values():
        assert why.startswith("rounded alone it changes the answers by ")
        assert "there are none for validation" in why


def test_all_outputs_tell_it(judged: JudgedRun, capsys: pytest.CaptureFixture[str]) -> None:
    print_run(Console(width=200), judged.run, judged.judgement)
    said = (
        "by-hand/onnxruntime/cpu/b1: 4 layers stay in float, as the recipe asks for "
        "(first; body.a; body.bad; head)"
    )
    assert said in capsys.readouterr().out
    assert said.replace("_", "\\_") in judged.report("md")
    rows = json.loads(judged.report("json"))["rows"]
    assert [len(row["left"]) for row in rows if row["cell"]["recipe"] == "by-hand"] == [4]


def test_that_little_ran_in_8_bits_is_no_surprise(judged: JudgedRun) -> None:
    (record,) = (one for one in judged.run.records.values() if one.cell.recipe == "by-hand")
    assert record.int8_share is not None and record.int8_share < 0.5
    assert not [one for one in judged.judgement.warnings if "8-bit kernels" in str(one)]
    assert not [one for one in judged.judgement.warnings if type(one).__name__ == "LittleInt8"]


def test_a_name_that_no_layer_has_is_a_users_mistake(judged: JudgedRun) -> None:
    (record,) = (one for one in judged.run.records.values() if one.cell.recipe == "unknown")
    assert record.error is not None and record.error.kind == "ConfigError"
    assert "did you mean 'body.bad'?" in record.error.message
    assert judged.exit_code == 2


def test_the_reasons_are_kept_with_the_artifact(judged: JudgedRun) -> None:
    (record,) = (one for one in judged.run.records.values() if one.cell.recipe == "auto")
    folder = Cache().get("artifact", record.artifact)
    assert folder is not None
    assert artifacts.read_facts(folder).left == record.left
