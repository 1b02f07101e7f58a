"""The verbs: what the command line does, for Python programs.

Nothing here loads torch or an engine; what does, runs in processes of its own.
"""

from __future__ import annotations

import glob
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import msgspec

from perfsuite.config.expansion import cells as cells_of
from perfsuite.config.expansion import check_budgets, match
from perfsuite.config.plan import Plan, history_key, read_durations, write_durations
from perfsuite.config.plan import plan as plan_of
from perfsuite.config.reading import read_suite
from perfsuite.domain.cell import Cell
from perfsuite.domain.record import SCHEMA, Header, Line, Run
from perfsuite.domain.suite import Budget, Evaluate, Suite
from perfsuite.domain.verdict import Judgement
from perfsuite.engine.running import Observer, work_off
from perfsuite.errors import ConfigError, Incomparable
from perfsuite.judge import Comparison, judge
from perfsuite.judge import compare as compare_runs
from perfsuite.store.journal import Journal
from perfsuite.store.runs import load_run

TEMPLATES = Path(__file__).parent / "config" / "templates"
QUICK_SAMPLES, QUICK_PROCESSES = 500, 3


def init(folder: Path) -> list[Path]:
    """Write `suite.toml` and `my_models.py` to start from into `folder`; return their paths."""
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
    """Return what a suite may name: kind (all, if None) to name to one line about it."""
    from perfsuite.data.datasets import DATASETS
    from perfsuite.passes.table import PASSES
    from perfsuite.plugins import names
    from perfsuite.runtimes.table import RUNTIMES
    from perfsuite.workloads.table import WORKLOADS

    tables: tuple[tuple[str, str, Mapping[str, Callable[[], object]]], ...] = (
        ("workloads", "workload", WORKLOADS),
        ("passes", "pass", PASSES),
        ("runtimes", "runtime", RUNTIMES),
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
    """Return the first sentence of what a table's entry is documented as."""
    first, _, _ = (make.__doc__ or "").strip().partition("\n")
    return first.removeprefix("Return ").rstrip(".")


def get_data(name: str, progress: Callable[[str, int, int | None], None]) -> Path:
    """Return the folder of the data set `name`, fetched and verified."""
    from perfsuite.data.datasets import get

    return get(name, progress)


def plan(suite_path: Path, *, only: str | None = None, quick: bool = False) -> Plan:
    """Return the jobs of a suite and how long they may take; nothing is run or written."""
    suite, cells, _ = _read(suite_path, only, quick)
    return plan_of(suite, cells, read_durations())


def run(
    suite_path: Path,
    out: Path | None = None,
    *,
    baseline: Path | None = None,
    only: str | None = None,
    quick: bool = False,
    resume: bool = False,
    observe: Callable[[Header, Plan], Observer] | None = None,
) -> tuple[Path, Run, Judgement]:
    """Work off a suite; return the run's folder, what was found, and the verdicts.

    With `resume`, go on with the run in `out` (by default the suite's newest). `only` is a glob on
    cell keys. `quick` measures too little to be believed. `observe` gives whoever shows progress.
    """
    suite, cells, warnings = _read(suite_path, only, quick)
    earlier = load_run(baseline) if baseline else None  # a mistake here must not cost a whole run
    journal = _resumed(out, suite, cells) if resume else _created(out, suite, cells, quick)
    with journal:
        planned = plan_of(suite, cells, read_durations())
        observer = observe(journal.header, planned) if observe else _Nobody()
        before = len(journal.lines)
        try:
            work_off(journal, observer)
        finally:
            _remember(journal.folder, before)
    found = load_run(journal.folder)
    judgement = judge(found, earlier)
    warnings = (*journal.warnings, *warnings, *judgement.warnings)
    return journal.folder, found, msgspec.structs.replace(judgement, warnings=warnings)


def show(folder: Path) -> tuple[Run, Judgement]:
    """Return a stored run and the verdicts on it."""
    found = load_run(folder)
    return found, judge(found)


def gate(folder: Path, baseline: Path) -> tuple[Run, Judgement]:
    """Return a stored run and the verdicts on it against a baseline run."""
    found = load_run(folder)
    return found, judge(found, load_run(baseline))


def compare(one: Path, other: Path) -> Comparison:
    """Return how the cells that two stored runs share have changed from `one` to `other`."""
    return compare_runs(load_run(one), load_run(other))


def report(folder: Path, format_: str, baseline: Path | None = None) -> str:
    """Return a stored run as a text of the given format: `md`, `csv` or `json`."""
    from perfsuite.report import render

    found, judgement = gate(folder, baseline) if baseline else show(folder)
    return render(found, judgement, format_)


class _Nobody:
    """Watches a run and shows nothing."""

    def started(self, cell: Cell, kind: str, number: int | None) -> None:
        """Show nothing."""

    def finished(self, line: Line) -> None:
        """Show nothing."""

    def skipped(self, cell: Cell, kind: str) -> None:
        """Show nothing."""


def _read(
    path: Path, only: str | None, quick: bool
) -> tuple[Suite, tuple[Cell, ...], tuple[str, ...]]:
    """Return the checked suite, its chosen cells, and what a person should know about both."""
    from perfsuite.config.checking import check

    suite = read_suite(path)
    check(suite)
    cells = cells_of(suite)
    check_budgets(suite, cells)
    warnings: tuple[str, ...] = ()
    if only is not None:
        chosen = tuple(cell for cell in cells if match(only, cell.key))
        if not chosen:
            keys = "\n  ".join(cell.key for cell in cells)
            raise ConfigError(f"--only '{only}' matches no cell; the cells are\n  {keys}")
        suite, warnings = _narrowed(suite, chosen)
        cells = chosen
    if quick:
        suite = _quick(suite)
    return suite, cells, warnings


def _narrowed(suite: Suite, cells: tuple[Cell, ...]) -> tuple[Suite, tuple[str, ...]]:
    """Return the suite without the budgets and expectations of cells that were not chosen."""
    from perfsuite.config.expansion import expects

    def whole(budget: Budget) -> bool:
        patterns = [budget.cell] if budget.against is None else [budget.cell, budget.against]
        return all(any(match(pattern, cell.key) for cell in cells) for pattern in patterns)

    kept = tuple(budget for budget in suite.budgets if whole(budget))
    expect = tuple(e for e in suite.expect if any(expects(e, cell) for cell in cells))
    left = [budget.name for budget in suite.budgets if budget not in kept]
    warnings = tuple(
        f"budget '{name}' was left out: --only chose none of its cells" for name in left
    )
    return msgspec.structs.replace(suite, budgets=kept, expect=expect), warnings


def _quick(suite: Suite) -> Suite:
    measure = msgspec.structs.replace(suite.measure, calls=10, seconds=0.2, warmup_seconds=1.0)
    samples = min(suite.evaluate.samples or QUICK_SAMPLES, QUICK_SAMPLES)
    return msgspec.structs.replace(
        suite,
        measure=measure,
        processes=min(suite.processes, QUICK_PROCESSES),
        evaluate=Evaluate(samples),
    )


def _created(out: Path | None, suite: Suite, cells: tuple[Cell, ...], quick: bool) -> Journal:
    from perfsuite.measure.environment import environment

    now = datetime.now(UTC)
    folder = out or Path("reports") / f"{suite.name}-{now:%Y%m%d-%H%M%S}"
    stamp = now.isoformat(timespec="seconds")
    header = Header(SCHEMA, version("perfsuite"), stamp, suite, cells, environment(), quick)
    return Journal.create(folder, header)


def _resumed(out: Path | None, suite: Suite, cells: tuple[Cell, ...]) -> Journal:
    from perfsuite.measure.environment import environment

    folder = out or _newest(suite.name)
    journal = Journal.resume(folder)
    try:
        _check_same(folder, journal.header, Header(SCHEMA, "", "", suite, cells, environment()))
    except BaseException:
        journal.close()
        raise
    return journal


def _check_same(folder: Path, before: Header, now: Header) -> None:
    """Raise unless the rest of a run would be measured as its beginning was."""
    there, here = before.environment, now.environment
    # First, because another machine may have other cells: the threads are its cores.
    if there.must_match != here.must_match:
        raise Incomparable(
            f"{folder}: this run began on another machine ({there.must_match.processor}); "
            f"start a new one here"
        )
    changed = sorted(
        f"{name} {there.subject.get(name, 'none')} to {here.subject.get(name, 'none')}"
        for name in there.subject.keys() | here.subject.keys()
        if there.subject.get(name) != here.subject.get(name)
    )
    if changed:
        raise Incomparable(
            f"{folder}: versions have changed since this run began ({', '.join(changed)}); "
            f"start a new one"
        )
    if (before.suite, before.cells) != (now.suite, now.cells):
        raise ConfigError(
            f"{folder}: the suite, --only or --quick have changed since this run began; "
            f"start a new one"
        )


def _newest(suite: str) -> Path:
    stamp = f"{'[0-9]' * 8}-{'[0-9]' * 6}"  # of `_created`
    pattern = f"{glob.escape(suite)}-{stamp}/run.jsonl"
    found = sorted(path.parent for path in Path("reports").glob(pattern))
    if not found:
        raise ConfigError(f"reports: there is no run of '{suite}' to go on with; say which (-o)")
    return found[-1]


def _remember(folder: Path, before: int) -> None:
    """Keep how long the jobs of this sitting took, for the next plan.

    What came from the cache says nothing of the work itself, and counts only until that is known.
    """
    from perfsuite.store.journal import read

    _, lines, _ = read(folder)
    known = read_durations()
    new: dict[str, float] = {}
    for line in lines[before:]:
        key = history_key(line.job, line.key)
        if line.status == "ok" and not (line.cached and key in known):
            new[key] = line.duration_s
    write_durations(new)
