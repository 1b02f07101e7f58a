"""`perfsuite doctor` on the scripted engine: its document and what it prints, compared with files.

The machine is made up. Run this file to write the files anew.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from across_runs import NATIVE, accuracy, answered, run, timed
from click.testing import CliRunner, Result
from fake_runs import NET, Project, here

from perfsuite import ablation_run, across_run, doctor_run
from perfsuite.cli import main
from perfsuite.domain.cell import Cell
from perfsuite.domain.diagnosis import LibraryWorth
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.finding import Finding, LayerKernel
from perfsuite.domain.record import Evidence, EvidenceItem
from perfsuite.domain.verdict import Interval
from perfsuite.errors import ConfigError, Unsupported
from perfsuite.judge import judge
from perfsuite.judged_run import JudgedRun
from perfsuite.libraries.cudnn import CUDNN
from perfsuite.libraries.mkl import MKL
from perfsuite.libraries.onednn import ONEDNN
from perfsuite.measure import environment
from perfsuite.runner import schedule
from perfsuite.runner.jobs import inspect
from perfsuite.store.machine_lock import VARIABLE
from perfsuite.store.runs import load_run

HERE = Path(__file__).parent / "test_doctor"
MACHINE = Environment(
    MustMatch("EPYC", 25, 17, 1, ("avx2", "avx512_vnni", "avx512f"), {"L1d": 32768}, 2, 1.5),
    {"numpy": "2"},
    {"memory_bytes": "8000000000", "governor": "powersave", "load_average": "0.5", "boost": "1"},
)
SAVING = Finding(
    "powersave", "machine", "the governor saves power", "set performance", "reported", "caution"
)
SLOW = Finding("reference", "oneDNN", "2 layers [b]run|on ref", "update it", "observed")
PLAIN = Evidence(
    (
        EvidenceItem("observed", "library", "OpenBLAS", "libopenblas.so"),
        EvidenceItem("reported", "version", "OpenBLAS", "0.3.29"),
        EvidenceItem("reported", "blas", "NumPy", "OpenBLAS 0.3.29, SkylakeX kernels, 2 threads"),
    ),
    findings=(SAVING,),
)
LOOPS = LibraryWorth(
    *("NumPy", "NumPy", "NumPy", "numpy-loops", "OpenBLAS", "off: NumPy's own loops", "ok"),
    whole_s=0.004,
    without_s=0.08,
    times_as_long=Interval(20.0, 19.0, 21.0),
    seen=True,
    ran_before="OpenBLAS 0.3.29",
    ran_after="its own loops",
)
CAPPED = LibraryWorth(
    *("NumPy", "NumPy", "NumPy", "openblas-haswell", "OpenBLAS", "capped at AVX2", "failed"),
    reason="its process died by SIGILL",
)


def scripted(layers: int) -> dict[str, Any]:
    """Return a script whose evidence has so many layers in oneDNN, and two that are odd."""
    kernels = [
        *(
            LayerKernel(f"body.{index}", "Conv", "brgconv", "oneDNN", "AVX-512 VNNI", "int8")
            for index in range(layers)
        ),
        LayerKernel("head", "Gemm", "ref_gemm", "oneDNN", "", "fp32"),
        LayerKernel("shrink", "Resize", "", "", "", "fp32", "inferred"),
    ]
    items = (
        EvidenceItem("observed", "library", "oneDNN", "libdnnl.so.3"),
        EvidenceItem("reported", "version", "oneDNN", "3.12.0-abc inside PyTorch"),
        EvidenceItem("observed", "library", "cuDNN", "libcudnn.so.9"),
    )
    return {"evidence": msgspec.to_builtins(Evidence(items, {}, tuple(kernels), (SLOW,)))}


def prepare(folder: Path, patch: pytest.MonkeyPatch) -> Project:
    """Make a project in `folder`, which is the current one, on a machine that is made up."""
    (folder / "net.py").write_text(NET)
    patch.setenv("PERFSUITE_CELL", "")
    patch.setenv(VARIABLE, str(folder / "lock"))
    patch.setattr(
        doctor_run, "work_off", lambda j, o, **more: schedule.work_off(j, o, here, **more)
    )
    patch.setattr(doctor_run, "plain_evidence", lambda: PLAIN)
    patch.setattr(doctor_run, "numpy_worths", lambda flags, threads: (LOOPS, CAPPED))
    patch.setattr(doctor_run, "LIBRARIES", {"a": CUDNN, "b": MKL, "c": ONEDNN})
    patch.setattr(inspect, "loaded", lambda: ())
    patch.setattr(inspect, "findings", lambda facts: ())
    patch.setattr(environment, "environment", lambda: MACHINE)
    patch.chdir(folder)
    project = Project(folder, patch)
    project.script({"*/b4": scripted(3), "*/b8": {"build": "raise"}, "*": scripted(40)})
    return project


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return prepare(tmp_path, monkeypatch)


def examined(*arguments: str) -> Result:
    words = ["doctor", "net.py:net", "--runtime", "fake", "--threads", "1", *arguments]
    return CliRunner().invoke(main, words, catch_exceptions=False)


def outputs() -> dict[str, str]:
    """Return each output by the name of its file."""
    whole = json.loads(examined("--json", "-o", "whole", "--batch", "4").stdout)
    whole["created_at"] = whole["perfsuite"] = ""
    return {
        "doctor.json": json.dumps(whole, indent=1) + "\n",
        "long.txt": examined("-o", "long").stdout,
        "short.txt": examined("-o", "short", "--batch", "4").stdout,
    }


def test_outputs_are_as_they_were(project: Project) -> None:
    for name, text in outputs().items():
        assert _bare(text) == (HERE / name).read_text(encoding="utf-8"), name


def _bare(text: str) -> str:
    return "\n".join(line.rstrip() for line in text.split("\n"))


def test_the_run_is_kept_with_the_document_and_show_reads_it(project: Project) -> None:
    done = examined("-o", "out", "--json")
    assert done.exit_code == 1, "a fault was found"
    assert json.loads(done.stdout) == json.loads(Path("out/doctor.json").read_text())
    assert [one.status for one in load_run(Path("out")).records.values()] == ["ok"]
    shown = CliRunner().invoke(main, ["show", "out"])
    assert "1 cell, not measured" in shown.stdout
    assert "✗ fault: net/fp32/fake/cpu/b1: 2 layers [b]run|on ref (observed)" in shown.stdout


def test_an_engine_that_fails_is_named(project: Project) -> None:
    done = examined("-o", "out", "--batch", "8")
    assert done.exit_code == 2
    assert "✗ net/fp32/fake/cpu/b8: failed: BuildError: scripted, in build" in done.stdout
    assert "NumPy multiplies with OpenBLAS 0.3.29" in done.stdout, "the other lines stand"


def test_from_python_it_is_data(project: Project) -> None:
    found = doctor_run.doctor("net.py:net", "out", runtimes=["fake"], batch=4)
    assert str(found) == (
        "doctor-net: 1 of 1 cells looked at, 1 fault, 1 caution; exit code 1; kept in out"
    )
    assert [one.name for one in found.diagnosis.findings] == ["reference", "powersave"]


def test_what_int8_answers_elsewhere_follows(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def across(workload: str, folder: Path, **more: Any) -> JudgedRun:
        given.update(more, workload=workload, folder=folder)
        more["say"]("half a second for a sample")
        there = msgspec.structs.replace(NATIVE, switch="onednn-avx2")
        lines = [*timed(NATIVE, accuracy(0.9), 0.01), *answered(there, accuracy(0.5))]
        found = run((NATIVE, there), lines)
        return JudgedRun(folder, found, judge(found))

    monkeypatch.setattr(across_run, "across", across)
    done = examined("-o", "out", "--across", "--batch", "4")
    assert (given["recipe"], given["batch"], given["threads"]) == ("int8", 4, 1)
    assert given["folder"] == Path("out/across")
    assert "half a second for a sample" in done.stderr
    assert "INT8 on other processors" in done.stdout
    assert "! caution: net/int8/openvino/cpu/b1: the artifact loses 40.00 points" in done.stdout
    document = json.loads(Path("out/doctor.json").read_text())
    assert document["across"]["folder"] == "out/across"
    assert document["across"]["processors"][0]["lost"]["value"] == pytest.approx(40.0)
    assert document["findings"][-1]["name"] == "int8-loses-elsewhere"


def test_what_each_library_is_worth_follows(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def ablate(workload: str, folder: Path, **more: Any) -> JudgedRun:
        given.update(more, workload=workload, folder=folder)
        whole = Cell("net", "fp32", "openvino", threads=2)
        capped = msgspec.structs.replace(whole, switch="onednn-avx2")
        lines = [
            line
            for cell, latency_s in ((whole, 0.01), (capped, 0.03))
            for line in timed(cell, accuracy(0.9), latency_s)
        ]
        found = run((whole, capped), lines, across=False)
        suite = msgspec.structs.replace(found.header.suite, ablation=True)
        found = msgspec.structs.replace(
            found, header=msgspec.structs.replace(found.header, suite=suite)
        )
        return JudgedRun(folder, found, judge(found))

    monkeypatch.setattr(ablation_run, "ablate", ablate)
    done = examined("-o", "out", "--ablate", "--batch", "4")
    assert (given["recipe"], given["batch"], given["threads"]) == ("fp32", 4, 1)
    assert given["folder"] == Path("out/ablation")
    assert "What each library is worth" in done.stdout
    assert "NumPy's own matrix product" in done.stdout
    said = " ".join(done.stdout.split())
    assert "takes 20 (19 to 21) times as long with OpenBLAS off" in said
    assert "its process died by SIGILL" in done.stdout
    document = json.loads(Path("out/doctor.json").read_text())["ablation"]
    assert [one["status"] for one in document["numpy"]] == ["ok", "failed"]
    (row,) = document["libraries"]
    assert (row["switch"], row["library"]) == ("onednn-avx2", "oneDNN")
    assert row["times_as_long"]["value"] == pytest.approx(3.0)


def test_where_nothing_can_be_turned_off_the_rest_stands(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ablate(*_: object, **__: object) -> JudgedRun:
        raise ConfigError("nothing that perfsuite can turn off")

    monkeypatch.setattr(ablation_run, "ablate", ablate)
    done = examined("-o", "out", "--ablate")
    assert done.exit_code == 1
    assert "What each library is worth: nothing that perfsuite can turn off" in done.stdout
    said = " ".join(done.stdout.split())
    assert "takes 20 (19 to 21) times as long with OpenBLAS off" in said


def test_what_was_seen_is_kept_before_what_takes_minutes(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def ablate(*_: object, **__: object) -> JudgedRun:
        raise KeyboardInterrupt

    monkeypatch.setattr(ablation_run, "ablate", ablate)
    with pytest.raises(KeyboardInterrupt):
        doctor_run.doctor("net.py:net", "out", runtimes=["fake"], batch=4, ablate=True)
    document = json.loads(Path("out/doctor.json").read_text())
    assert [one["name"] for one in document["findings"]] == ["reference", "powersave"]


def test_minutes_are_for_what_takes_some(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[float] = []

    def ablate(*_: object, minutes: float, **__: object) -> JudgedRun:
        given.append(minutes)
        raise ConfigError("nothing that perfsuite can turn off")

    monkeypatch.setattr(ablation_run, "ablate", ablate)
    monkeypatch.setattr(across_run, "across", ablate)
    examined("-o", "a", "--ablate", "--across", "--minutes", "0.5")
    examined("-o", "b", "--ablate", "--across")
    assert given == [0.5, 0.5, 5.0, 4.0]
    done = examined("-o", "c", "--minutes", "3")
    assert done.exit_code == 2 and "--ablate or --across" in done.stderr
    assert not Path("c").exists()


def test_where_int8_cannot_be_tried_elsewhere_the_rest_stands(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def across(*_: object, **__: object) -> JudgedRun:
        raise Unsupported("the task has no labels")

    monkeypatch.setattr(across_run, "across", across)
    done = examined("-o", "out", "--across")
    assert done.exit_code == 1
    assert "INT8 on other processors: the task has no labels" in done.stdout
    document = json.loads(Path("out/doctor.json").read_text())
    assert document["across"]["problem"] == "the task has no labels"


def _write_all() -> None:
    HERE.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        prepare(Path(folder), patch)
        for name, text in outputs().items():
            (HERE / name).write_text(_bare(text), encoding="utf-8")
            sys.stdout.write(f"{name}\n")


if __name__ == "__main__":
    _write_all()
