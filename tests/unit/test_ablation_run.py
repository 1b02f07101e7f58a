"""The verb `ablate`: its suite, its run, what shows it later, and how it goes on when cut short."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from fake_runs import Project, here, names

import perfsuite
from perfsuite import judged_run
from perfsuite.cli import main
from perfsuite.config.ablation_suite import ablation_suite
from perfsuite.config.expansion import cells as cells_of
from perfsuite.domain.record import Line
from perfsuite.errors import ConfigError
from perfsuite.judge.ablation import worths
from perfsuite.judged_run import JudgedRun
from perfsuite.runner import schedule
from perfsuite.runner.job import Job

AVX2 = ("sse4_1", "sse4_2", "avx", "avx2")
AVX512 = (*AVX2, "avx512f", "avx512_vnni", "avx512_bf16")
WHOLE = "net/fp32/fake/cpu/b1"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    made = Project(tmp_path, monkeypatch)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PERFSUITE_CELL", "")
    made.script({"*/one-thread": {"latencies_s": [0.02]}, "*": {"latencies_s": [0.01]}})
    return made


def ablate(
    project: Project, execute: Callable[[Job], Line] = here, *, resume: bool = False
) -> JudgedRun:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            judged_run,
            "work_off",
            lambda j, o, evaluate: schedule.work_off(j, o, execute, evaluate=evaluate),
        )
        return perfsuite.ablate(
            "net.py:net", project.out, runtimes=["fake"], threads=2, resume=resume
        )


def test_the_run_has_the_ratio_and_every_format_shows_it(project: Project) -> None:
    judged = ablate(project)
    assert judged.exit_code == 0
    (found,) = worths(judged.run)
    assert (found.whole, found.switch, found.status) == (WHOLE, "one-thread", "ok")
    assert found.ratio is not None and found.ratio.value == pytest.approx(2.0)
    assert {line.job for line in project.lines()} == {"prepare", "inspect", "measure"}
    shown = CliRunner().invoke(main, ["show", str(project.out)])
    assert shown.exit_code == 0, shown.output
    assert "What each library is worth" in shown.output
    assert "one thread" in shown.output and "20 ms" in shown.output
    assert "| one thread | 20 ms | 2 |" in judged.report("md")
    (told,) = json.loads(judged.report("json"))["ablation"]
    assert told["ratio"]["value"] == pytest.approx(2.0)


def test_a_run_that_was_killed_goes_on_where_it_was(project: Project) -> None:
    done: list[Job] = []

    def killed(job: Job) -> Line:
        if len(done) == 6:
            raise KeyboardInterrupt
        done.append(job)
        return here(job)

    with pytest.raises(KeyboardInterrupt):
        ablate(project, killed)
    before = names(project.lines())
    judged = ablate(project, resume=True)
    after = names(project.lines())
    assert after[: len(before)] == before and len(after) > len(before)
    assert [record.status for record in judged.run.records.values()] == ["ok", "ok"]
    (found,) = worths(judged.run)
    assert found.ratio is not None and found.ratio.value == pytest.approx(2.0)


def switches(runtime: str, flags: tuple[str, ...], recipe: str = "fp32", threads: int = 2) -> list:
    suite = ablation_suite("vgg-digits", [runtime], recipe, flags=flags, threads=threads)
    found = [cell.switch for cell in cells_of(suite)]
    assert found[0] == ""  # the whole is measured, too
    return found[1:]


def test_the_suite_has_each_switch_that_can_change_anything_here() -> None:
    assert switches("openvino", AVX512) == ["onednn-avx2", "onednn-sse41", "one-thread"]
    assert switches("openvino", AVX2) == ["onednn-sse41", "one-thread"]
    assert switches("onnxruntime", AVX2, threads=1) == ["unoptimized"]
    assert switches("openvino", AVX512, "int8")[0] == "onednn-avx512"  # which hides VNNI
    assert "qemu-haswell" not in switches("pytorch", AVX512)
    assert {"onednn-off", "mkl-avx2", "aten-avx2"} <= set(switches("pytorch", AVX512))


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("onednn-of", "unknown switch 'onednn-of'; did you mean 'onednn-off'"),
        ("onednn-off", "changes nothing here: it is for pytorch"),
        ("qemu-haswell", "times say nothing"),
    ],
)
def test_a_switch_that_can_not_be_measured_is_refused(named: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        ablation_suite("vgg-digits", ["onnxruntime"], flags=AVX2, switches=[named])


def test_where_nothing_can_be_turned_off_it_is_said() -> None:
    with pytest.raises(ConfigError, match="nothing that perfsuite can turn off concerns"):
        ablation_suite("vgg-digits", ["fake"], flags=(), threads=1)
