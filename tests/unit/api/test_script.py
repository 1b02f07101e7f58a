"""A program of one's own that runs a suite: its models are found again by every job's process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_runs import NET

import perfsuite
from perfsuite import ConfigError, JudgedRun

CALL = """
import sys

import perfsuite
from perfsuite import Budget, Int8, Measure, Recipe, Suite


def nightly():
    suite = Suite(
        name="nightly",
        workloads=[net],
        runtimes=["fake"],
        threads=1,
        processes=2,
        measure=Measure(calls=5, seconds=0.0),
        recipes=[Recipe("int8", [Int8(calibration_samples=64)])],
        budgets=[Budget("it answers", "top1", min=0.5)],
    )
    judged = perfsuite.run(suite, "run")
    print(judged)
    return judged.exit_code
"""
GUARDED = 'if __name__ == "__main__":\n    sys.exit(nightly())\n'
UNGUARDED = "sys.exit(nightly())\n"


def script(folder: Path, text: str) -> tuple[int, str]:
    """Run a program in `folder`; return its exit code and what it said."""
    (folder / "program.py").write_text(text)
    done = subprocess.run(
        [sys.executable, "program.py"],
        cwd=folder,
        env={**os.environ, "PERFSUITE_HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_a_program_runs_models_of_a_file_beside_it(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(NET)
    code, said = script(tmp_path, f"from net import net\n{CALL}{GUARDED}")
    assert (code, said) == (
        0,
        "nightly: cells: 2 ok; 2 of 2 verdicts pass, exit code 0; kept in run\n",
    )
    suite = perfsuite.show(tmp_path / "run").run.header.suite
    assert suite.workloads == {"net": f"{tmp_path}/net.py:net"}


def test_a_program_may_hold_its_models_itself(tmp_path: Path) -> None:
    code, said = script(tmp_path, f"{NET}{CALL}{GUARDED}")
    assert (code, said.splitlines()[-1][:24]) == (0, "nightly: cells: 2 ok; 2 "), said
    suite = perfsuite.show(tmp_path / "run").run.header.suite
    assert suite.workloads == {"net": f"{tmp_path}/program.py:net"}


def test_a_program_that_runs_when_it_is_imported_runs_once(tmp_path: Path) -> None:
    code, said = script(tmp_path, f"{NET}{CALL}{UNGUARDED}")
    assert (code, said.splitlines()[-1][:24]) == (2, "nightly: cells: 2 failed"), said
    judged = perfsuite.show(tmp_path / "run")
    errors = {record.error.message for record in judged.run.records.values() if record.error}
    (told,) = errors
    assert told.startswith(f"{tmp_path}/program.py calls perfsuite.run when it is imported")
    assert 'put the call below `if __name__ == "__main__":`' in told


MODULES = """
import numpy
import perfsuite
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return x * 2

def build():
    return Net()

net = build()
"""


@pytest.mark.parametrize("name", ["Net", "build", "net"])
def test_a_bare_module_is_told_what_it_lacks_and_that_works(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    from perfsuite.workloads.table import load_workload

    file = tmp_path / f"bare_{name}.py"
    file.write_text(MODULES)
    with pytest.raises(ConfigError) as caught:
        load_workload(f"{file}:{name}")
    first, _, lines = str(caught.value).partition("\n")
    assert first.startswith(f"workload '{file}:{name}': a torch module does not say what goes")
    # What the message says to write is taken as it stands.
    (tmp_path / f"whole_{name}.py").write_text(
        MODULES
        + "\n".join(line.removeprefix("    ") for line in lines.splitlines()).replace("...", "")
    )
    workload = load_workload(f"whole_{name}.py:net")
    assert workload.model.build is not None
    assert workload.model.build()(1) == 2
    assert workload.input_spec()[0].shape == ("batch", 3, 224, 224)


def test_a_bare_module_in_python_is_told_at_once(tmp_path: Path) -> None:
    import torch

    module = torch.nn.ReLU()
    with pytest.raises(ConfigError, match=r"Suite\(...\): workloads\[0\]: a torch module does not"):
        perfsuite.plan(perfsuite.Suite(workloads=[module], runtimes=["fake"]))
    with pytest.raises(ConfigError, match="WORKLOAD: a torch module does not say what goes into"):
        perfsuite.profile(torch.nn.ReLU)


def test_profile_takes_objects(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from perfsuite.runtimes.fake.runtime import Fake
    from perfsuite.workloads.zoo.digits import vgg_digits

    monkeypatch.setenv("PERFSUITE_HOME", str(tmp_path / "home"))
    judged = perfsuite.profile(vgg_digits, tmp_path / "out", runtimes=[Fake])
    assert isinstance(judged, JudgedRun)
    assert [cell.key for cell in judged.run.header.cells] == ["vgg-digits/fp32/fake/cpu/b1"]
