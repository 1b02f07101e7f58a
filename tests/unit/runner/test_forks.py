"""Jobs that are forked from a process with their imports done: like fresh ones, and as safe."""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from fake_runs import FP32, NET, Project, children, is_running, last_job, wait_until, workers

from perfsuite.config.loading import load_suite
from perfsuite.domain.record import JobKind, Line
from perfsuite.runner import forks as forks_module
from perfsuite.runner.forks import HEAVY, LIGHT, Forks, imports_of
from perfsuite.runner.job import Job, first_job
from perfsuite.runner.process import Worker, run_job_in_process
from perfsuite.runner.processes import Processes
from perfsuite.store.cache import Cache

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="forks on Linux alone")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.setenv("PERFSUITE_CELL", "")
    return Project(tmp_path, monkeypatch)


@pytest.fixture
def forks() -> Iterator[Forks]:
    with Forks() as found:
        yield found


def job_of(project: Project, at_import: str = "", in_inputs: str = "") -> Job:
    """Return a prepare job whose file does something when it is imported, or asked for inputs."""
    head = "    def inputs(self, batch, seed):\n"
    text = NET.replace(head, f"{head}        {in_inputs}\n") if in_inputs else NET
    (project.folder / "net.py").write_text(f"{text}\nimport os, sys\n{at_import}\n")
    suite, cells, _ = load_suite(project.suite)
    return first_job(suite, cells[0])


def note(what: str) -> str:
    """Return code that appends a value to the file `noted` in the environment."""
    return f"print({what}, file=open(os.getenv('NOTED'), 'a'))"


@pytest.fixture
def noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NOTED", str(tmp_path / "noted"))
    return tmp_path / "noted"


def comparable(line: Line) -> Line:
    """Return a line without what differs from process to process, which are times alone."""
    kept = tuple(one for one in line.measurements if not one.metric.endswith("_s"))
    return msgspec.structs.replace(
        line, started_at="", duration_s=0.0, made_s=0.0, measurements=kept
    )


@pytest.mark.parametrize("kind", ["prepare", "evaluate", "inspect"])
def test_a_forked_job_finds_what_a_fresh_one_does(
    project: Project, forks: Forks, kind: JobKind, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(forks_module, "imports_of", lambda job: LIGHT)
    job = msgspec.structs.replace(last_job(project), kind=kind, round=None, order=None)
    lines = []
    for given in (None, forks):
        for made in ("rows", *(("artifact",) if kind == "prepare" else ())):
            shutil.rmtree(Cache().root / made, ignore_errors=True)
        lines.append(run_job_in_process(job, forks=given))
    fresh, forked = map(comparable, lines)
    assert fresh.status == "ok"
    assert forked == fresh
    assert forks._servers


@pytest.mark.parametrize(
    ("code", "kind", "message", "output"),
    [
        (
            "import os, signal; print('last words'); os.kill(os.getpid(), signal.SIGSEGV)",
            "Crash",
            "the worker died by SIGSEGV",
            "last words\n",
        ),
        ("import os; os._exit(7)", "Crash", "the worker ended with exit code 7", ""),
        ("raise MemoryError('no more')", "MemoryError", "out of memory: no more", "no more"),
    ],
)
def test_a_crash_is_a_failed_line_and_the_next_job_is_forked(
    project: Project, forks: Forks, noted: Path, code: str, kind: str, message: str, output: str
) -> None:
    line = run_job_in_process(job_of(project, note("os.getppid()"), code), forks=forks)
    assert line.error is not None
    assert (line.status, line.error.kind, line.error.message) == ("failed", kind, message)
    assert output in line.error.output
    assert run_job_in_process(job_of(project, note("os.getppid()")), forks=forks).status == "ok"
    first, second = noted.read_text().split()
    assert first == second != str(os.getpid())


def test_a_pool_of_threads_does_not_keep_a_job_from_ending(project: Project, forks: Forks) -> None:
    job = job_of(project, "from concurrent.futures import *; ThreadPoolExecutor(1).submit(int)")
    assert run_job_in_process(job, forks=forks).status == "ok"


def test_a_hanging_job_is_killed_with_all_that_it_started(
    project: Project, forks: Forks, noted: Path
) -> None:
    code = (
        "import subprocess, time; child = subprocess.Popen(['sleep', '600'])\n"
        f"{note('child.pid')}; print('waiting'); time.sleep(600)"
    )
    job = job_of(project, code)
    settings = msgspec.structs.replace(job.measure, timeout_seconds=4.0)
    job = msgspec.structs.replace(job, kind="evaluate", measure=settings)
    line = run_job_in_process(job, forks=forks)
    assert line.error is not None
    assert (line.error.kind, line.error.output) == ("Timeout", "waiting\n")
    child = int(noted.read_text())
    wait_until(lambda: not is_running(child), "the job's child to go", 10.0)
    assert run_job_in_process(job_of(project), forks=forks).status == "ok"


def test_a_job_whose_server_is_killed_is_done_by_a_fresh_process(
    project: Project, forks: Forks, noted: Path
) -> None:
    kill = (
        f"import signal, time\nif os.getppid() != {os.getpid()}: "
        "os.kill(os.getppid(), signal.SIGKILL); time.sleep(600)"
    )
    job = job_of(project, f"{note('os.getppid()')}\n{kill}")
    assert run_job_in_process(job, forks=forks).status == "ok"
    assert run_job_in_process(job_of(project, note("os.getppid()")), forks=forks).status == "ok"
    first, again, next_one = noted.read_text().split()
    assert again == str(os.getpid())
    assert next_one not in (first, again), "another server was started"


def test_a_forked_job_that_is_gone_between_two_looks_has_ended(
    project: Project, forks: Forks, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once its server is killed, it is nobody's child, and leaves no trace."""

    def nobody(pid: int) -> int:
        raise ProcessLookupError

    job = job_of(project, "import time; time.sleep(600)")
    with Worker(job, forks=forks) as worker:
        assert not worker.wait(0.1)
        os.kill(next(iter(forks._servers.values()))._process.pid, signal.SIGKILL)
        wait_until(lambda: not is_running(worker.process.pid), "its end")
        monkeypatch.setattr(os, "pidfd_open", nobody)  # as when the system's first process reaps
        assert worker.wait(0.1)
        assert worker.line().status == "failed"
        assert worker.is_lost


def test_a_number_is_killed_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    truly = os.killpg

    def kill(group: int, number: int) -> None:
        killed.append(group)
        truly(group, number)

    monkeypatch.setattr(os, "killpg", kill)
    with Worker(job_of(project, "import os; os._exit(7)")) as worker:
        assert worker.wait(60.0)
        worker.line()
    assert killed == [worker.process.pid]


def test_nobody_outlives_the_parent(project: Project) -> None:
    project.script({"*": {"open": "hang"}})
    process = project.start()

    def forked() -> list[int]:
        return [pid for pid in workers(process.pid) if pid not in children(process.pid)]

    (job,) = wait_until(forked, "a forked job")
    (server,) = children(process.pid)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    wait_until(lambda: not is_running(server) and not is_running(job), "all to die", 10.0)


def test_jobs_share_nothing_but_their_imports(project: Project, forks: Forks, noted: Path) -> None:
    said = "os.getppid(), os.getenv('LEFT'), 'left' in sys.modules, len(vars(sys)['path'])"
    leave = "vars(os)['environ']['LEFT'] = 'it'; sys.modules['left'] = sys; os.chdir('/')"
    job = job_of(project, f"{note(f'({said}, os.getcwd(), np.random.random())')}\n{leave}")
    for _ in range(2):
        run_job_in_process(job, forks=forks)
    first, second = (eval(line) for line in noted.read_text().splitlines())  # noqa: S307
    assert first[0] != os.getpid()
    assert first[:5] == second[:5]
    assert first[1:3] == (None, False)
    assert first[5] != second[5], "NumPy's random numbers are not those of the job before"


def test_each_number_of_threads_has_a_server_of_its_own(
    project: Project, forks: Forks, noted: Path
) -> None:
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PERFSUITE_CELL")
    found = ", ".join(f"os.getenv('{name}')" for name in names)
    job = job_of(project, note(f"os.getppid(), os.getsid(0) == os.getpid(), {found}"))
    for threads, batch in ((1, 1), (3, 1), (3, 2)):
        cell = msgspec.structs.replace(job.cell, threads=threads, batch=batch)
        run_job_in_process(msgspec.structs.replace(job, cell=cell), forks=forks)
    one, three, again = (line.split() for line in noted.read_text().splitlines())
    assert one[1:] == ["True", "1", "1", "1", FP32]
    assert three[1:5] == ["True", "3", "3", "3"]
    assert again[1:5] == three[1:5]
    assert three[5] != again[5]
    assert one[0] != three[0] == again[0]


def test_an_import_that_starts_a_thread_is_not_forked(
    project: Project,
    forks: Forks,
    noted: Path,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library = tmp_path_factory.mktemp("library")
    text = (
        "import threading\nthreading.Thread(target=threading.Event().wait, daemon=True).start()\n"
    )
    (library / "busy_library.py").write_text(text)
    before = os.environ.get("PYTHONPATH")
    monkeypatch.setenv("PYTHONPATH", f"{library}{os.pathsep}{before or ''}")
    job = job_of(project, note("os.getppid()"))
    net = project.folder / "net.py"
    net.write_text(net.read_text().replace("import zlib", "import busy_library\nimport zlib"))
    assert "busy_library" in (imports_of(job) or ())
    assert run_job_in_process(job, forks=forks).status == "ok"
    assert noted.read_text().split() == [str(os.getpid())]
    assert not forks._servers


@pytest.mark.parametrize("where", ["workload", "runtime"])
def test_what_configures_its_libraries_begins_before_they_are_imported(
    project: Project, forks: Forks, noted: Path, where: str
) -> None:
    """A library reads the environment when it is imported, which a server would have done."""
    text = "import os\nos.environ['MODE'] = 'mine'\n"
    if where == "workload":
        job = job_of(project, f"import beside\n{note('os.getppid()')}")
        (project.folder / "beside.py").write_text(text)
    else:
        job = job_of(project, note("os.getppid()"))
        text += "from perfsuite.runtimes.fake.runtime import Fake"
        (project.folder / "engine.py").write_text(text)
        job = msgspec.structs.replace(job, runtime=f"{project.folder}/engine.py:Fake")
    assert imports_of(job) is None
    line = run_job_in_process(job, forks=forks)
    assert line.status == "ok", line.error
    assert noted.read_text().split() == [str(os.getpid())]


def test_a_users_module_is_not_taken_for_one_that_the_server_has(
    project: Project, forks: Forks, noted: Path
) -> None:
    (project.folder / "filelock.py").write_text("")
    assert run_job_in_process(job_of(project, note("os.getppid()")), forks=forks).status == "ok"
    assert noted.read_text().split() == [str(os.getpid())]


def test_what_jobs_begin_with(project: Project) -> None:
    job = job_of(project)
    prepared = imports_of(job)
    assert prepared is not None
    assert {"numpy", "zlib"} <= set(prepared)
    assert "torch" not in prepared

    def changed(**fields: object) -> tuple[str, ...] | None:
        return imports_of(msgspec.structs.replace(job, **fields))  # type: ignore[arg-type]

    assert changed(kind="measure") is None, "what it takes to load an engine is measured"
    assert changed(kind="inspect", runtime="onnxruntime") is None, "torch would be evidence"
    assert changed(kind="inspect", runtime="pytorch") == prepared
    assert changed(reference="vgg-digits") == HEAVY
    assert changed(reference="vgg-digits", cached_only=True) == LIGHT
    assert changed(reference="net.onnx") == LIGHT
    assert changed(cell=msgspec.structs.replace(job.cell, device="cuda:0")) is None


def test_no_server_lives_while_something_is_measured(project: Project) -> None:
    measure = last_job(project)
    before = set(children(os.getpid()))  # of other tests in this process
    with Processes(lambda key, text: None) as processes:
        assert processes.execute(msgspec.structs.replace(measure, kind="evaluate")).status == "ok"
        assert len({*children(os.getpid())} - before) == 1
        assert processes.execute(measure).status == "ok"
        assert not {*children(os.getpid())} - before
        processes.execute(msgspec.structs.replace(measure, kind="evaluate"))
        assert processes.together([], lambda job: None, {}) == []
        assert not {*children(os.getpid())} - before


def test_few_servers_live_at_once(project: Project, forks: Forks) -> None:
    job = job_of(project)
    before = set(children(os.getpid()))
    for threads in range(1, 5):
        cell = msgspec.structs.replace(job.cell, threads=threads)
        run_job_in_process(msgspec.structs.replace(job, cell=cell), forks=forks)
    assert len({*children(os.getpid())} - before) == forks_module.MOST
