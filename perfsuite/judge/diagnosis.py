"""From a run in which everything was looked at to a diagnosis: a pure function of what was seen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from perfsuite import __version__
from perfsuite.domain.diagnosis import (
    SCHEMA,
    DiagnosedFinding,
    Diagnosis,
    ExaminedCell,
    How,
    Layer,
    Library,
    LibraryUse,
    LibraryWorth,
    Machine,
    Numpy,
)
from perfsuite.domain.environment import Environment
from perfsuite.domain.finding import Finding, LayerKernel
from perfsuite.domain.instruction_sets import strongest_first
from perfsuite.domain.record import Evidence, EvidenceItem, Record, Run
from perfsuite.judge.ablation import Worth
from perfsuite.judge.findings import together
from perfsuite.judge.status import is_users
from perfsuite.libraries.used import used
from perfsuite.processor import best_instruction_sets

MISSING = "missing-library"
NUMPY = "NumPy"  # in the place of a cell's key
_HOWS = ("observed", "reported", "inferred")


def diagnosis(
    folder: Path,
    run: Run,
    plain: Evidence | str,
    titles: Sequence[str],
    *,
    workload: str = "",
    asked: bool = False,
    warnings: Sequence[str] = (),
) -> Diagnosis:
    """Return what was found in the cells of `run`, in the machine and in NumPy.

    `plain` is the evidence of a process without an engine, or why there is none; `titles` are those
    of all libraries that could have been seen. Where somebody `asked` for these engines by name,
    one that is not there is a mistake of theirs.
    """
    records = [run.records[cell.id] for cell in run.header.cells]
    seen = {one.cell.key: one.evidence for one in records if one.evidence is not None}
    alone = plain if isinstance(plain, Evidence) else Evidence()
    numpy = Numpy(problem=plain) if isinstance(plain, str) else _numpy(plain)
    found = [(finding, "") for finding in alone.findings]
    found += [(finding, key) for key, one in seen.items() for finding in one.findings]
    findings = tuple(_diagnosed(finding, cells) for finding, cells in together(found))
    return Diagnosis(
        SCHEMA,
        __version__,
        run.header.created_at,
        str(folder),
        workload,
        machine(run.header.environment),
        numpy,
        tuple(_libraries(seen, alone, numpy, titles)),
        tuple(map(_examined, records)),
        findings,
        tuple(warnings),
        exit_code(records, findings, asked=asked),
    )


def with_findings(made: Diagnosis, found: Iterable[tuple[Finding, str]]) -> Diagnosis:
    """Return the diagnosis with further cautions, each with the key of its cell."""
    more = tuple(_diagnosed(finding, cells) for finding, cells in together(found))
    return msgspec.structs.replace(made, findings=(*made.findings, *more))


def library_worth(one: Worth) -> LibraryWorth:
    """Return a row of an ablation as the document has it."""
    return LibraryWorth(
        one.cell,
        one.whole,
        one.runtime,
        one.switch,
        one.library,
        one.title,
        one.status,
        one.reason,
        one.whole_s,
        one.without_s,
        one.ratio,
        one.seen,
        one.before,
        one.after,
    )


def exit_code(
    records: Sequence[Record], findings: Sequence[DiagnosedFinding], *, asked: bool
) -> int:
    """Return 2 for what its user must mend, 1 for a fault, 3 if nothing was looked at, else 0.

    An engine that fails is a fault, as is another kernel than the one that was asked for.
    """
    broken = {key for one in findings if one.name == MISSING for key in one.cells}
    whole = [one for one in records if one.cell.key not in broken]
    kinds = [one.error.kind for one in whole if one.status == "failed" and one.error]
    lacking = [one for one in whole if one.status in ("unsupported", "unavailable")]
    if any(map(is_users, whole)) or (asked and lacking):
        return 2
    if any(one.severity == "fault" for one in findings) or "SilentFallback" in kinds:
        return 1
    if not any(one.status == "ok" for one in records):
        return 3
    return 1 if any(one.status == "failed" for one in records) else 0


def machine(environment: Environment) -> Machine:
    """Return the machine of a run, in numbers where the system gives some."""
    here, context = environment.must_match, environment.context
    return Machine(
        here.processor,
        best_instruction_sets(here.flags),
        here.usable_cores,
        here.quota_cores,
        int(_number(context.get("memory_bytes")) or 0) or None,
        context.get("governor", ""),
        "on" if context.get("boost") == "1" else "off" if context.get("boost") == "0" else "",
        _number(context.get("load_average")),
        context.get("system", ""),
        context.get("kernel", ""),
        here.card,
    )


def _number(text: str | None) -> float | None:
    try:
        return float(text or "")
    except ValueError:
        return None


def _numpy(evidence: Evidence) -> Numpy:
    found = (one for one in evidence.items if (one.about, one.name) == ("blas", NUMPY))
    item = next(found, None)
    if item is None:
        return Numpy(problem="its BLAS does not show: no library of a known name is loaded")
    return Numpy(item.value, item.how)


def _examined(record: Record) -> ExaminedCell:
    cell, evidence = record.cell, record.evidence or Evidence()
    return ExaminedCell(
        cell.key,
        cell.recipe,
        cell.runtime,
        cell.precision,
        cell.batch,
        cell.threads,
        record.status,
        _problem(record),
        record.labels,
        record.input_shapes,
        tuple(map(_layer, evidence.layers)),
        evidence.items,
    )


def _problem(record: Record) -> str:
    """Return why a cell could not be looked at; the kind of the error where the status has none."""
    if record.error is None:
        return ""
    kind = f"{record.error.kind}: " if record.status == "failed" else ""
    return f"{kind}{record.error.message}"


def _layer(one: LayerKernel) -> Layer:
    return Layer(
        one.layer,
        one.operator,
        one.kernel,
        one.library,
        one.instruction_set,
        one.precision,
        one.how,
    )


def _diagnosed(one: Finding, cells: tuple[str, ...]) -> DiagnosedFinding:
    return DiagnosedFinding(one.name, one.severity, one.about, cells, one.message, one.fix, one.how)


def _libraries(
    seen: dict[str, Evidence], alone: Evidence, numpy: Numpy, titles: Sequence[str]
) -> Iterator[Library]:
    """Yield the libraries that were used, then those that were only loaded, then the others."""
    items = [item for one in (*seen.values(), alone) for item in one.items]
    uses: dict[str, list[LibraryUse]] = {}
    for key, evidence in seen.items():
        for title, use in used(evidence).items():
            one = LibraryUse(key, use.how, use.text, use.layers, use.of, use.instruction_sets)
            uses.setdefault(title, []).append(one)
    named = dict.fromkeys([*titles, *uses, *(i.name for i in items if i.about == "library")])
    for title in named:
        if numpy.how is not None and numpy.blas.startswith(title):
            uses.setdefault(title, []).append(LibraryUse(NUMPY, numpy.how, "its matrix products"))
    libraries = [_library(title, uses.get(title, []), items) for title in named]
    order = ("used", "loaded", "absent")
    yield from sorted(libraries, key=lambda one: order.index(one.status))


def _library(title: str, uses: list[LibraryUse], items: Sequence[EvidenceItem]) -> Library:
    own = [item for item in items if item.name == title]
    files = tuple(dict.fromkeys(one.value for one in own if one.about == "library"))
    best, known = _best_set(uses, own)
    return Library(
        title,
        "used" if uses else "loaded" if files else "absent",
        tuple(dict.fromkeys(one.value for one in own if one.about == "version")),
        files,
        tuple(uses),
        best,
        known,
    )


def _best_set(uses: Sequence[LibraryUse], own: Sequence[EvidenceItem]) -> tuple[str, How | None]:
    """Return the best set of the layers' kernels, else what the library says; and how known."""
    ran = [(name, one.how) for one in uses for name in one.instruction_sets]
    said = [(one.value, one.how) for one in own if one.about == "instruction set"]
    for found in (ran, said):
        if not found:
            continue
        best = next(iter(strongest_first(name for name, _ in found)), found[0][0])
        hows = [how for name, how in found if name == best]
        return best, min(hows, key=_HOWS.index)
    return "", None
