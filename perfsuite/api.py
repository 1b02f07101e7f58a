"""The verbs of the command line, as functions.

Nothing here loads torch or an engine; what does, runs in processes of its own.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, overload

import msgspec

from perfsuite.config.expansion import cells as cells_of
from perfsuite.config.loading import load_suite
from perfsuite.config.python_suite import RuntimeReference, Suite, WorkloadReference
from perfsuite.config.refusals import refusals
from perfsuite.config.run_plan import RunPlan, read_durations
from perfsuite.config.run_plan import plan as plan_of
from perfsuite.domain.model import GivenShapes
from perfsuite.errors import ConfigError, PerfsuiteError, Unavailable
from perfsuite.judge import USAGE, Comparison, judge, judge_profile
from perfsuite.judge import compare as compare_runs
from perfsuite.judge.levels import levels_of
from perfsuite.judge.visibility import not_visible
from perfsuite.judged_run import Certified, JudgedRun, judged, remembered
from perfsuite.plugins import refuse_while_importing
from perfsuite.runner.keeping import keep_artifacts as kept
from perfsuite.runner.run_folder import created, resumed
from perfsuite.runner.schedule import work_off
from perfsuite.runner.watched import Observe, watched
from perfsuite.store.levels import add_levels
from perfsuite.store.runs import load_run

if TYPE_CHECKING:
    from torch import nn

    from perfsuite.domain.model import Stage
    from perfsuite.module_profile import ModuleProfile

AnyPath = str | os.PathLike[str]  # as it is: relative to the working folder, `~` a name like others

TEMPLATES = Path(__file__).parent / "config" / "templates"


def init(folder: AnyPath) -> list[Path]:
    """Write `suite.toml` and `my_models.py` to start from into `folder`; return their paths."""
    folder = Path(folder)
    targets = [folder / template.name for template in sorted(TEMPLATES.glob("*.*"))]
    for target in targets:
        if target.exists():
            raise ConfigError(f"{target}: there is such a file already; choose another folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for target in targets:
            shutil.copyfile(TEMPLATES / target.name, target)
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be written: {error.strerror}") from error
    return targets


def listing(kind: str | None = None) -> dict[str, dict[str, str]]:
    """Return, for one kind or all, the names that a suite may use, with a line on each."""
    from perfsuite.data.datasets import DATASETS
    from perfsuite.measure.meters.table import METERS
    from perfsuite.models.students import STUDENTS
    from perfsuite.passes.table import PASSES
    from perfsuite.plugins import names
    from perfsuite.report import FORMATS
    from perfsuite.runtimes.table import RUNTIMES
    from perfsuite.workloads.table import WORKLOADS

    tables: tuple[tuple[str, str, Mapping[str, Callable[[], object]]], ...] = (
        ("workloads", "workload", WORKLOADS),
        ("passes", "pass", PASSES),
        ("students", "student", STUDENTS),
        ("runtimes", "runtime", RUNTIMES),
        ("formats", "format", FORMATS),
        ("meters", "meter", METERS),
    )
    found = {
        heading: {
            name: _about(table[name]) if name in table else "from an installed package"
            for name in names(one, table)
        }
        for heading, one, table in tables
        if kind in (None, heading)
    }
    if kind in (None, "data"):
        found["data"] = {name: item.summary for name, item in sorted(DATASETS.items())}
    return found


def _about(make: Callable[[], object]) -> str:
    """Return the first sentence of the docstring of a table's entry."""
    first, _, _ = (make.__doc__ or "").strip().partition("\n")
    return first.removeprefix("Return ").rstrip(".")


def get_data(name: str, progress: Callable[[str, int, int | None], None]) -> Path:
    """Return the folder of the data set `name`, fetched and verified."""
    from perfsuite.data.datasets import get

    return get(name, progress)


def plan(suite: AnyPath | Suite, *, only: str | Sequence[str] = (), quick: bool = False) -> RunPlan:
    """Return the jobs of a suite and how long they may take; nothing is run or written."""
    resolved, cells, _ = load_suite(_suite(suite), _globs(only), quick=quick)
    return plan_of(resolved, cells, read_durations(), refused=refusals(resolved, cells))


def run(
    suite: AnyPath | Suite,
    out: AnyPath | None = None,
    *,
    baseline: AnyPath | None = None,
    only: str | Sequence[str] = (),
    quick: bool = False,
    resume: bool = False,
    keep_artifacts: bool = False,
    observe: Observe | None = None,
) -> JudgedRun:
    """Work off a suite, a file or one written in Python; return the run with the verdicts on it.

    What `baseline`, a stored run, has of the same cells is measured beside them, if its artifacts
    are in the cache or were kept with it: `keep_artifacts` copies them into the folder of the run.
    With `resume`, go on with the run in `out` (by default the suite's newest). `only` is a glob on
    the keys of cells, or several, of which one must match. `quick` measures too little to be
    believed. `observe` gives whoever shows progress.
    """
    from perfsuite.report.sentences import caution_sentence

    refuse_while_importing("perfsuite.run")
    resolved, cells, warnings = load_suite(_suite(suite), _globs(only), quick=quick)
    held_against = _path(baseline)
    if held_against is not None:
        load_run(held_against)  # a mistake here must not cost a whole run
    folder = _path(out)
    if resume:
        journal = resumed(folder, resolved, cells, held_against)
    else:
        source = "" if isinstance(suite, Suite) else str(suite)
        journal = created(
            folder, resolved, cells, quick=quick, baseline=held_against, source=source
        )
    with journal:
        observer = watched(journal, observe)
        for caution in not_visible(journal.header):
            observer.warned(caution_sentence(caution))  # it is among the judgement's, too
        with remembered(journal):
            work_off(journal, observer)
        found = load_run(journal.folder)
        if keep_artifacts:
            journal.warnings += kept(journal.folder, found, observer.noted)
    earlier = found.header.baseline or held_against
    judgement = judge(found, load_run(Path(earlier)) if earlier else None)
    add_levels(found.header.environment.must_match, levels_of(found))
    return judged(journal, found, judgement, *warnings)


@overload
def profile(
    workload: nn.Module,
    inputs: object,
    /,
    *,
    stages: Sequence[Stage] = (),
    depth: int | None = None,
) -> ModuleProfile: ...


@overload
def profile(
    workload: WorkloadReference,
    out: AnyPath | None = None,
    *,
    runtimes: Sequence[RuntimeReference] = (),
    recipe: str = "fp32",
    batch: int = 1,
    threads: int | None = None,
    picture: AnyPath | None = None,
    samples: AnyPath | None = None,
    shapes: GivenShapes | None = None,
    device: str = "cpu",
    precision: str = "fp32",
    flamegraph: bool = False,
    observe: Observe | None = None,
) -> JudgedRun: ...


def profile(
    workload: WorkloadReference | nn.Module,
    out: Any = None,
    **given: Any,
) -> JudgedRun | ModuleProfile:
    """Profile a workload, or a live torch module.

    A module in hand is profiled in this process and nothing is kept:
    `perfsuite.profile(net, (pictures,))` returns a `ModuleProfile`, which prints as the breakdown
    by module and the bottleneck; `stages` may name its parts, and `depth` says how many levels are
    printed. Of anything else the arguments are those of `profile_workload`.
    """
    from perfsuite.workloads.checked import is_module

    if is_module(workload):
        from perfsuite.module_profile import profile_module

        return profile_module(cast("nn.Module", workload), out, **given)
    if out is not None and not isinstance(out, str | os.PathLike):
        kind = f"class {workload.__name__}" if isinstance(workload, type) else repr(workload)
        raise ConfigError(
            f"perfsuite.profile: inputs go with a torch module, an object of a class of "
            f"torch.nn.Module, and this is none: {kind}; a name or file of a workload brings its "
            f"own inputs, and the second argument is the folder for its results"
        )
    return profile_workload(cast("WorkloadReference", workload), out, **given)


def profile_workload(
    workload: WorkloadReference,
    out: AnyPath | None = None,
    *,
    runtimes: Sequence[RuntimeReference] = (),
    recipe: str = "fp32",
    batch: int = 1,
    threads: int | None = None,
    picture: AnyPath | None = None,
    samples: AnyPath | None = None,
    shapes: GivenShapes | None = None,
    device: str = "cpu",
    precision: str = "fp32",
    flamegraph: bool = False,
    observe: Observe | None = None,
) -> JudgedRun:
    """Profile a workload; return the run that was made for it, with warnings.

    The folder also gets `breakdown.md`, `trace.json` and, with `flamegraph`, a recording of eager
    PyTorch. Without `runtimes` every engine is tried, and one that cannot run the workload is only
    a warning. `recipe` is fp32, or a pass with its defaults. `picture` takes the place of the
    task's own inputs. An ONNX file's inputs are those of `samples`, an `.npz` file, or made up with
    the `shapes` that are given by input: `{"x": (1, 3, 640, 640)}`. With `device="cuda"` it is
    every engine that runs on a card.
    """
    from perfsuite.config.profile_suite import single_suite
    from perfsuite.report import write_profile
    from perfsuite.runner import flamegraph as recording
    from perfsuite.runner.build.pictures import read_picture

    refuse_while_importing("perfsuite.profile")
    file = _path(picture)
    suite = single_suite(
        workload,
        runtimes,
        recipe,
        batch=batch,
        threads=threads,
        picture=file,
        samples=_path(samples),
        shapes=shapes,
        device=device,
        precision=precision,
    )
    if file is not None:
        read_picture(file)  # a mistake here must not cost a whole run
    if flamegraph:
        recording.check(suite)
    with created(_path(out), suite, cells_of(suite)) as journal:
        work_off(journal, watched(journal, observe, evaluate=False), evaluate=False)
    run = load_run(journal.folder)
    write_profile(journal.folder, run)
    found = judged(journal, run, judge_profile(run, asked=bool(runtimes)))
    return _recorded(found) if flamegraph else found


def certify(
    suite: AnyPath | Suite | None = None,
    out: AnyPath | None = None,
    *,
    quick: bool = False,
    resume: bool = False,
    observe: Observe | None = None,
) -> Certified:
    """Measure cells beside themselves, slowed down by known shares; return what this machine sees.

    The cells are those of `suite`, by default of small nets that come with perfsuite. The
    certificate takes the place of this machine's earlier one, and later runs show it. `quick` takes
    five minutes instead of about twenty. `resume` and `observe` are those of `run`.
    """
    from perfsuite.config.certify_suite import certify_suite, only_measured
    from perfsuite.judge.certificate import certify as certificate_of
    from perfsuite.store.certificates import keep, require_writable

    refuse_while_importing("perfsuite.certify")
    require_writable()
    asked = certify_suite(None if suite is None else _suite(suite), quick=quick)
    if resume:
        journal = resumed(_path(out), asked.suite, asked.cells)
    else:
        journal = created(_path(out), asked.suite, asked.cells, quick=quick)
    with journal:
        measured = observe and (
            lambda header, planned: observe(header, only_measured(planned, asked.cells))
        )
        lines = work_off(journal, watched(journal, measured), evaluate=False, inspect=False)
    found = certificate_of(load_run(journal.folder), lines, asked.name)
    return Certified(found, keep(found), journal.folder, tuple(journal.warnings))


def _recorded(found: JudgedRun) -> JudgedRun:
    """Record the flame graph; where it cannot be, the breakdown stays."""
    from perfsuite.runner.flamegraph import record

    try:
        record(found.run, found.folder)
    except Unavailable as error:
        warnings = (*found.judgement.warnings, str(error))
        judgement = msgspec.structs.replace(found.judgement, exit_code=USAGE, warnings=warnings)
        return found._replace(judgement=judgement)
    return found


def show(folder: AnyPath) -> JudgedRun:
    """Return a stored run and the verdicts on it.

    One that was measured beside a baseline is held against that, as it was when it was made. Where
    that baseline cannot be read any more, a warning says so.
    """
    found = load_run(Path(folder))
    try:
        before = load_run(Path(found.header.baseline)) if found.header.baseline else None
    except PerfsuiteError as error:
        judgement = judge(found)
        gone = f"the baseline that this run was measured beside cannot be read: {error}"
        judgement = msgspec.structs.replace(judgement, warnings=(*judgement.warnings, gone))
        return JudgedRun(Path(folder), found, judgement)
    return JudgedRun(Path(folder), found, judge(found, before))


def gate(folder: AnyPath, baseline: AnyPath) -> JudgedRun:
    """Return a stored run and the verdicts on it against a baseline run."""
    found = load_run(Path(folder))
    return JudgedRun(Path(folder), found, judge(found, load_run(Path(baseline))))


def compare(one: AnyPath, other: AnyPath) -> Comparison:
    """Return how the cells that two stored runs share have changed from `one` to `other`."""
    return compare_runs(load_run(Path(one)), load_run(Path(other)))


def report(folder: AnyPath, format_: str = "md", baseline: AnyPath | None = None) -> str:
    """Return a stored run as a text: `md`, `csv`, `json`, or by a plug-in, `file.py:name`."""
    if baseline is None:
        return show(folder).report(format_)
    from perfsuite.report import render

    found, before = load_run(Path(folder)), load_run(Path(baseline))
    return render(found, judge(found, before), format_, Path(folder), before)


def _suite(given: AnyPath | Suite) -> Path | Suite:
    return given if isinstance(given, Suite) else Path(given)


def _path(given: AnyPath | None) -> Path | None:
    return None if given is None else Path(given)


def _globs(only: str | Sequence[str]) -> Sequence[str]:
    return [only] if isinstance(only, str) else only
