"""`perfsuite profile` on the scripted engine: what it prints, writes and refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from fake_runs import NET, Project, here
from page_reading import read_page, section

from perfsuite import api
from perfsuite.cli import main
from perfsuite.domain.device import DeviceIdentity
from perfsuite.domain.profile import Kernel, Profile, Roofline
from perfsuite.domain.record import Line
from perfsuite.errors import BuildError, Unavailable, Unsupported
from perfsuite.runner import flamegraph, schedule
from perfsuite.runner.job import Job
from perfsuite.runner.jobs import inspect, measure
from perfsuite.runtimes.fake.runtime import Fake, FakeSession
from perfsuite.runtimes.table import RUNTIMES
from perfsuite.store.journal import read

PICTURE = """
    def from_picture(self, picture):
        return {"x": picture[:1, :4, 0].astype(np.float32)}
"""
FP32 = "net/fp32/fake/cpu/b1"

Only = Callable[..., None]


@pytest.fixture
def only() -> Iterator[Only]:
    """Give a function that leaves the named engines alone in the table, whose order comes back."""
    whole = dict(RUNTIMES)

    def change(**engines: type[Fake]) -> None:
        RUNTIMES.clear()
        RUNTIMES.update(engines)

    yield change
    change(**whole)  # type: ignore[arg-type]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    def profile(self: FakeSession, inputs: object, calls: int) -> Profile:
        body = Kernel("conv", "Conv", (0.006,) * calls, origins=("body/Conv",))
        head = Kernel("fc", "Gemm", (0.003,) * calls, origins=("head/Gemm",))
        return Profile((0.010,) * calls, (body, head))

    monkeypatch.setenv("PERFSUITE_CELL", "")
    monkeypatch.setattr(api, "work_off", lambda j, o, **more: schedule.work_off(j, o, here, **more))
    monkeypatch.setattr(FakeSession, "profile", profile, raising=False)
    monkeypatch.setattr(inspect, "roofline", lambda t, p, seen: Roofline(1e11, 1e10, t, p))
    monkeypatch.chdir(tmp_path)
    made = Project(tmp_path, monkeypatch)
    (tmp_path / "net.py").write_text(NET.replace("    def rows", f"{PICTURE}\n    def rows"))
    made.script({"*": {"latencies_s": [0.008]}})
    return made


def profiled(*arguments: object) -> Result:
    words = ["profile", *(str(one) for one in arguments), "--threads", "1"]
    return CliRunner().invoke(main, words, catch_exceptions=False)


def test_a_profile_from_the_command_line(project: Project) -> None:
    done = profiled("net.py:net", "--runtime", "fake", "-o", "out")
    assert done.exit_code == 0, done.stderr
    assert f"{FP32}, 1 thread" in done.stdout
    assert "body holds the model back: 6 ms of 10 ms (60 %), all of it in" in done.stdout
    assert (
        "Profiling cost 2 ms of the 10 ms: the same process answers in 8 ms without it (1 ms for "
        "each of 2 kernels).\nEnd-to-end latency, of processes that never profile, is 8 ms.\n"
    ) in done.stdout
    assert done.stdout.endswith("kept in out\n")
    jobs = [line.job for line in read(Path("out"))[1]]
    assert jobs == ["prepare", "inspect", "measure"], "no test sample is answered"
    markdown = Path("out/breakdown.md").read_text()
    assert "| body | 6 ms | 60 % |" in markdown
    assert "- Profiling cost 2 ms of the 10 ms: the same process answers in 8 ms" in markdown


def test_the_trace_is_that_of_the_breakdown(project: Project) -> None:
    done = profiled("net.py:net", "--runtime", "fake", "-o", "out", "--json")
    found = json.loads(done.stdout)
    assert found["exit_code"] == 0
    (cell,) = found["cells"]
    assert cell["latency_s"] == pytest.approx(0.008)
    assert cell["breakdown"]["untraced_s"] == pytest.approx(0.008)
    assert cell["bottleneck"][0].startswith("body holds the model back")
    assert cell["profiling"][1].startswith("Profiling cost 2 ms of the 10 ms")
    assert cell["roofline"]["threads"] == 1
    rows = {row["name"]: row["time_s"] for row in cell["breakdown"]["rows"]}
    events = json.loads(Path("out/trace.json").read_text())["traceEvents"]
    stages = {one["name"]: one["args"]["time_s"] for one in events if one.get("cat") == "stage"}
    assert stages == {name: rows[name] for name in ("body", "head")}
    assert [one["args"]["name"] for one in events if one["name"] == "process_name"] == ["fake"]


def test_the_page_of_a_profile(project: Project) -> None:
    done = profiled("net.py:net", "--runtime", "fake", "-o", "out", "--html")
    assert done.stdout.endswith("kept in out\nwrote out/report.html\n")
    page = read_page(Path("out/report.html").read_text(encoding="utf-8"))
    assert "body holds the model back" in section(page, "answer").text
    assert section(page, "stages").all("figure")
    command = section(page, "reproduce").all("td")[0].text
    assert command.startswith("perfsuite profile ")
    assert command.endswith("net.py:net --runtime fake --threads 1")


def test_by_default_every_engine_is_tried_and_lands_in_reports(
    project: Project, only: Only
) -> None:
    class Other(Fake):
        """Another scripted engine, which no workload runs on."""

        def probe(self) -> dict[str, str]:
            raise Unsupported("this engine takes no nets")

    class Scripted(Fake):
        """The scripted engine under a name of its own."""

    only(scripted=Scripted, other=Other)
    done = profiled("net.py:net")
    assert done.exit_code == 0
    assert "net/fp32/scripted/cpu/b1, 1 thread" in done.stdout
    assert "! net/fp32/other/cpu/b1 unsupported: Unsupported: this engine takes no nets" in (
        done.stdout
    )
    (folder,) = Path("reports").iterdir()
    assert folder.name.startswith("profile-net-2")
    asked = profiled("net.py:net", "--runtime", "other", "--runtime", "scripted", "-o", "asked")
    assert asked.exit_code == 2, "it was asked for by name"
    assert "this engine takes no nets" in Path("asked/breakdown.md").read_text()
    none = profiled("net.py:net", "--runtime", "other", "-o", "none")
    assert none.exit_code == 2


def test_with_a_card_it_is_the_engines_that_run_there(project: Project, only: Only) -> None:
    class Card(Fake):
        """A scripted engine on a card."""

        devices = ("cuda",)
        precisions = ("fp32", "tf32")

        def identify(self, device: str) -> DeviceIdentity:
            return DeviceIdentity(device, "Scripted Card")

    only(scripted=Fake, card=Card)
    done = profiled("net.py:net", "--device", "cuda", "--precision", "tf32", "-o", "out")
    assert done.exit_code == 0, done.output
    assert "net/fp32/card/cuda/b1/tf32" in done.stdout
    assert "scripted" not in done.stdout


def test_an_engine_without_profiling(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def profile(self: FakeSession, inputs: object, calls: int) -> Profile:
        raise Unsupported("no clock in this engine")

    monkeypatch.setattr(FakeSession, "profile", profile, raising=False)
    done = profiled("net.py:net", "--runtime", "fake", "-o", "out")
    assert done.exit_code == 2
    assert f"! {FP32} has no breakdown: no clock in this engine" in done.stdout


def test_a_call_that_fails(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def profile(self: FakeSession, inputs: object, calls: int) -> Profile:
        raise ValueError("odd")

    monkeypatch.setattr(FakeSession, "profile", profile, raising=False)
    done = profiled("net.py:net", "--runtime", "fake", "-o", "out")
    assert done.exit_code == 2
    said = " ".join(done.stdout.split())
    assert f"BuildError: {FP32}: a call that was profiled failed in line" in said
    assert "with ValueError: odd" in said


def test_a_cell_that_fails_after_its_breakdown(
    project: Project, monkeypatch: pytest.MonkeyPatch, only: Only
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise BuildError("no time")

    only(scripted=Fake)
    monkeypatch.setattr(measure, "time_calls", broken)
    done = profiled("net.py:net", "-o", "out")
    assert done.exit_code == 2
    assert "body holds the model back" in done.stdout
    assert "! net/fp32/scripted/cpu/b1 failed: BuildError: no time" in done.stdout


def save(name: str, size: tuple[int, int]) -> None:
    from PIL import Image

    Image.new("RGB", size, (7, 8, 9)).save(name)


def test_a_picture_takes_the_place_of_the_inputs(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs: list[Job] = []

    def execute(job: Job) -> Line:
        jobs.append(job)
        return here(job)

    monkeypatch.setattr(
        api, "work_off", lambda j, o, **more: schedule.work_off(j, o, execute, **more)
    )
    save("cat.png", (4, 4))
    arguments = ("net.py:net", "--runtime", "fake", "--batch", 3, "--input", "cat.png")
    done = profiled(*arguments, "-o", "out")
    assert done.exit_code == 0, done.stdout
    (given,) = inspect.artifacts.read_inputs(Path(jobs[-1].artifact))
    assert given["x"].tolist() == [[7.0] * 4] * 3
    first = jobs[-1].artifact_key
    save("cat.png", (5, 5))
    profiled(*arguments, "-o", "again")
    assert jobs[-1].artifact_key != first


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nat.py:net",), "there is no file"),
        (("net.py:nat",), "did you mean 'net'?"),
        (("net.py:net", "--runtime", "fke"), "unknown runtime 'fke'; did you mean 'fake'?"),
        (("net.py:net", "--recipe", "int9"), "unknown recipe 'int9'; did you mean 'int8'?"),
        (("net.py:net", "--input", "no.jpg"), "no.jpg: this picture cannot be read"),
        (("net.py:net", "--input", "net.py"), "net.py: not a picture in a format"),
        (("net.py:net", "--runtime", "fake", "--flamegraph"), "add --runtime pytorch"),
        (("net.py:net", "--runtime", "fake", "-o", "net.py/x"), "cannot be made"),
    ],
)
def test_what_a_profile_refuses_before_it_begins(
    project: Project, arguments: tuple[str, ...], message: str
) -> None:
    done = profiled(*arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert not Path("reports").exists()


def test_a_task_that_takes_no_pictures(project: Project) -> None:
    (project.folder / "net.py").write_text(NET)
    save("cat.png", (4, 4))
    done = profiled("net.py:net", "--runtime", "fake", "--input", "cat.png", "-o", "out")
    assert done.exit_code == 2
    assert "net: this task makes no input of a picture" in done.stdout


def test_a_flame_graph_that_cannot_be_made_costs_no_breakdown(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(run: object, folder: Path) -> list[Path]:
        raise Unavailable("py-spy may not look")

    monkeypatch.setattr(flamegraph, "EAGER", "fake")
    monkeypatch.setattr(flamegraph, "py_spy", lambda: "py-spy")
    monkeypatch.setattr(flamegraph, "record", denied)
    done = profiled("net.py:net", "--runtime", "fake", "--flamegraph", "-o", "out")
    assert done.exit_code == 2
    assert "body holds the model back" in done.stdout
    assert "! py-spy may not look" in done.stdout


def test_the_depth_of_the_tree(project: Project) -> None:
    shallow = profiled("net.py:net", "--runtime", "fake", "-o", "one", "--depth", 1).stdout
    deep = profiled("net.py:net", "--runtime", "fake", "-o", "two", "--depth", 2).stdout
    assert len(deep.splitlines()) == len(shallow.splitlines()) + 2


def test_the_roofline_is_that_of_the_precision_that_runs(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, str]] = []

    def measured(threads: int, precision: str, seen: object) -> Roofline:
        asked.append((threads, precision))
        raise Unavailable("torch is not installed")

    monkeypatch.setattr(inspect, "roofline", measured)
    for recipe in ("fp32", "int8"):
        done = profiled("net.py:net", "--runtime", "fake", "--recipe", recipe, "-o", recipe)
        assert done.exit_code == 0
        assert "body holds the model back" in done.stdout, "what it is bound by is left out"
    assert asked == [(1, "fp32"), (1, "int8")]
