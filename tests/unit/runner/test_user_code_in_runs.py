"""A user's code that fails in a run: its cell alone, in words, with exit code 2."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from fake_runs import FP32, INT8, NET, Project, here

from perfsuite import api
from perfsuite.runner import schedule

BAD = [
    ("assert False", "AssertionError: assert False"),
    ("raise ValueError", "ValueError: raise ValueError"),
    ("import sys; sys.exit()", "SystemExit: import sys; sys.exit()"),
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    return Project(tmp_path, monkeypatch)


def start(project: Project, *options: str) -> tuple[int, str]:
    process = project.start(*options)
    output = process.communicate(timeout=120)[0]
    return process.returncode, " ".join(output.split())


def test_rows_that_fail_end_their_cell_alone(project: Project) -> None:
    head = "    def rows(self, predict, samples=None):\n"
    for place, (code, _) in enumerate(BAD):
        (project.folder / f"bad{place}.py").write_text(
            NET.replace(head, f"{head}        {code}\n").replace(
                'net = Workload("net"', f'bad{place} = Workload("bad{place}"'
            )
        )
    every = [f"bad{place}.py:bad{place}" for place in range(len(BAD))]
    project.suite.write_text(
        project.suite.read_text().replace('["net.py:net"]', json.dumps([*every, "net.py:net"]))
    )
    returncode, output = start(project)
    assert returncode == 2
    assert "Traceback" not in output
    for place, (_, words) in enumerate(BAD):
        bad = f"bad{place}"
        told = f"{bad}: its rows() failed in line 19 of {bad}.py with {words}"
        assert f"failed: evaluate {bad}/fp32/fake/cpu/b1: {told}" in output
    done = [line for line in project.lines() if line.key in (FP32, INT8)]
    assert {line.status for line in done} == {"ok"}
    assert {line.job for line in done} == {"prepare", "evaluate", "inspect", "measure"}


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o: schedule.work_off(j, o, here))


def one_fails(project: Project, ok: str, failed: str, message: str) -> None:
    """Run the suite: of two cells one is fine, and one fails with `message`; exit code 2."""
    _, run, judgement = api.run(project.suite, project.out)
    found = {cell.key: run.records[cell.id] for cell in run.header.cells}
    assert found[ok].status == "ok"
    error = found[failed].error
    assert error is not None
    assert re.search(message, error.message), error.message
    assert judgement.exit_code == 2


@pytest.mark.parametrize(
    ("method", "code"),
    [
        ("inputs(self, batch, seed)", "assert False"),
        ("inputs(self, batch, seed)", "return [1.0]"),
        ("rows(self, predict, samples=None)", "return predict({'x': [1.0]})"),
        ("metric(self, rows)", "assert False"),
        ("metric(self, rows)", "return None"),
        ("fingerprint(self)", "raise ValueError"),
        ("fingerprint(self)", "return 3"),
    ],
)
def test_each_method_of_a_task(project: Project, in_process: None, method: str, code: str) -> None:
    bad = NET.replace(f"    def {method}:\n", f"    def {method}:\n        {code}\n")
    if "fingerprint" in method:
        bad = bad.replace("\n\ndef never", f"\n    def {method}:\n        {code}\n\n\ndef never")
    (project.folder / "bad.py").write_text(
        bad.replace('net = Workload("net"', 'bad = Workload("bad"')
    )
    text = project.suite.read_text().partition("[[recipes]]")[0]
    project.suite.write_text(text.replace("net.py:net", 'bad.py:bad", "net.py:net'))
    name = method.partition("(")[0] + r"\(\)" if "metric" not in method else "metric 'top1'"
    one_fails(project, FP32, FP32.replace("net", "bad"), rf"^bad: its {name} (failed in|must) ")


ENGINE = """
from perfsuite.runtimes.fake.runtime import Fake, FakeSession


class Session(FakeSession):
    {session}


class Bad(Fake):
    name = "bad"

    def open(self, folder, manifest, options):
        session = super().open(folder, manifest, options)
        session.__class__ = Session
        return session

    {runtime}
"""


@pytest.mark.parametrize(
    ("part", "code", "message"),
    [
        ("runtime", "def __init__(self): assert False", "making it failed in line"),
        (
            "runtime",
            "takes = 'soup'",
            "its `takes` must be one of graph, module, nothing, not 'soup'",
        ),
        ("runtime", "devices = None", "its `devices` must give a tuple of texts, not None"),
        ("runtime", "precisions = ('fp32', 8)", "`precisions` must give a tuple of texts, not int"),
        ("runtime", "def probe(self): assert False", r"bad: its probe\(\) failed in line"),
        ("runtime", "def probe(self): return 3", r"bad: its probe\(\) must give a dict of"),
        ("runtime", "def build(self, *_): raise SystemExit", r"bad: its build\(\) failed in line"),
        ("runtime", "def open(self, *_): assert False", r"bad: its open\(\) failed in line"),
        ("runtime", "def open(self, *_): return 3", r"bad: its open\(\) failed with TypeError"),
        ("session", "def __enter__(self): assert False", r"bad: its open\(\) failed in line"),
        ("session", "def __enter__(self): pass", r"no session: inside `with`, None has no run, cl"),
        ("session", "def __exit__(self, *_): assert False", "bad: closing its session failed in"),
        ("session", "def run(self, inputs): assert False", "/b1: a call failed in line 6 of"),
        ("session", "def run(self, inputs): return 3", "/b1: a call must give a list, not int"),
        ("session", "def run(self, inputs): return [3]", "/b1: a call must give NumPy arrays"),
        ("session", "def evidence(self): assert False", r"Bad: its evidence\(\) failed in line 6"),
        ("session", "def evidence(self): return None", r"Bad: its evidence\(\) must give perfs"),
        ("session", "def profile(self, *_): raise ValueError", "profiled failed in line 6 of"),
        ("session", "def profile(self, *_): return {}", "profiled must give a Profile, not dict"),
    ],
)
def test_each_method_of_a_runtime(
    project: Project, in_process: None, part: str, code: str, message: str
) -> None:
    text = ENGINE.format(**{"session": "pass", "runtime": "pass", part: code})
    (project.folder / "bad.py").write_text(text)
    text = project.suite.read_text().partition("[[recipes]]")[0]
    project.suite.write_text(text.replace('"fake"', '"bad.py:Bad", "fake"'))
    one_fails(project, FP32, FP32.replace("fake", "Bad"), message)


TORCH_NET = """
import numpy as np
import torch
from torch import nn

from perfsuite import Model, Task, Workload


class Numbers(Task):
    def inputs(self, batch, seed):
        return {"x": np.ones((batch, 4), np.float32)}


def build():
    torch.manual_seed(0)
    return nn.Linear(4, 2)


net = Workload("net", Model(build), Numbers())
"""
PASS = """
from typing import ClassVar

import msgspec

from perfsuite import Edits


class Bad(msgspec.Struct, frozen=True):
    version: ClassVar[int] = 1
    runtimes: ClassVar[tuple[str, ...]] = ()

    def resolve(self, target):
        return ""

    def fit(self, model, ctx):
        return Edits()

    def rebuild(self, model, edits):
        return model
"""


@pytest.mark.parametrize(
    ("head", "code", "message"),
    [
        ("resolve(self, target)", "assert False", "failed in line 14 of"),
        ("resolve(self, target)", "return None", "must give a text, not None"),
        ("fit(self, model, ctx)", "import sys; sys.exit()", "failed in line 17 of"),
        ("fit(self, model, ctx)", "return model", "must give perfsuite.Edits, not Linear"),
        ("fit(self, model, ctx)", "return list(ctx.calibration(4))", "has no calibration samples"),
        ("rebuild(self, model, edits)", "raise ValueError", "failed in line 20 of"),
        ("rebuild(self, model, edits)", "return None", "must give a torch.nn.Module, not None"),
    ],
)
def test_each_method_of_a_pass(
    project: Project, in_process: None, head: str, code: str, message: str
) -> None:
    pytest.importorskip("torch")
    (project.folder / "net.py").write_text(TORCH_NET)
    (project.folder / "bad.py").write_text(PASS.replace(f"{head}:", f"{head}:\n        {code}"))
    text = project.suite.read_text().replace('use = "int8"', 'use = "bad.py:Bad"')
    project.suite.write_text(text.replace('"fake"', '"pytorch"'))
    one_fails(project, FP32.replace("fake", "pytorch"), INT8.replace("fake", "pytorch"), message)


def test_a_pass_that_cannot_be_made_is_told_before_anything_runs(project: Project) -> None:
    made = PASS.replace(
        "    def resolve", "    def __post_init__(self): assert False\n\n    def resolve"
    )
    (project.folder / "bad.py").write_text(made)
    project.suite.write_text(project.suite.read_text().replace('"int8" }', '"bad.py:Bad" }'))
    code, output = start(project)
    assert code == 2
    assert re.match(
        "error: suite.toml: recipes.0..passes.0.: making '.*bad.py:Bad' failed in line 13", output
    ), output


@pytest.mark.parametrize(("code", "words"), BAD)
@pytest.mark.parametrize("runtime", ["pytorch", "onnxruntime"])
def test_a_forward_that_fails_is_told_on_every_engine(
    project: Project, in_process: None, runtime: str, code: str, words: str
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip(runtime if runtime != "pytorch" else "torch")
    bad = f"""
class Bad(nn.Linear):
    def forward(self, x):
        {code}


bad = Workload("bad", Model(lambda: Bad(4, 2)), Numbers())
"""
    (project.folder / "net.py").write_text(TORCH_NET + bad)
    text = project.suite.read_text().partition("[[recipes]]")[0]
    text = text.replace('"net.py:net"', '"net.py:net", "net.py:bad"')
    project.suite.write_text(text.replace('"fake"', f'"{runtime}"'))
    ok = FP32.replace("fake", runtime)
    message = rf"^Bad: its forward on .* failed in line 23 of .*net.py with {re.escape(words)}$"
    one_fails(project, ok, ok.replace("net/", "bad/"), message)
