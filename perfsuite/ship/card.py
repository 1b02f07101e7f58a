"""The card of what is shipped: where it comes from, what it is worth, where it was measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import msgspec

from perfsuite.config import make_pass
from perfsuite.domain.cell import Cell
from perfsuite.domain.metrics import LATENCY, MACS
from perfsuite.domain.recipe import ResolvedRecipe
from perfsuite.domain.record import Record, Run
from perfsuite.domain.runtime import Manifest
from perfsuite.domain.verdict import Interval, Verdict
from perfsuite.judge import judge, metrics
from perfsuite.processor import best_instruction_sets
from perfsuite.report import words
from perfsuite.report.formats.markdown import escape
from perfsuite.report.sentences import caution_sentence, verdict_sentence
from perfsuite.report.tables.instruction_sets import instruction_sets
from perfsuite.report.tables.texts import faster_text, loss_text, share_text
from perfsuite.ship.other_processors import other_processors
from perfsuite.ship.portable import named, portable
from perfsuite.ship.suite import Guarded
from perfsuite.ship.toml import value_text
from perfsuite.store.elsewhere import read_elsewhere


class Told(msgspec.Struct, frozen=True):
    """What is told of a cell beside its record: how it came to be, and its files."""

    command: str
    weights: tuple[str, str]  # what they are, and their SHA-256 or digest
    manifest: Manifest
    folder: Path  # that it is shipped to; paths are relative to it
    versions: dict[str, str]  # of the engine's libraries
    preprocessed: bool  # whether it is told how stored pictures become its inputs
    compared: bool  # and that was held against what the task does


def card_text(run: Run, cell: Cell, found: Guarded, told: Told) -> str:
    """Return the model card as Markdown."""
    record = run.records[cell.id]
    references = [run.records[one.id] for one in found.references]
    verdicts = [one for one in judge(run).verdicts if one.cell == cell.key]
    parts = [
        f"# {escape(cell.key)}",
        f"Made by perfsuite {escape(run.header.perfsuite)}, measured on "
        f"{escape(run.header.created_at)}.",
        _USE.format(samples="pictures.npy" if told.preprocessed else "inputs.npz"),
        "## Where it comes from",
        _table(_provenance(run, cell, told)),
        *_recipe(run, cell, told),
        "## Accuracy",
        *_accuracy(run, record, references),
        "## Speed and size",
        _table(_speed(record, references)),
        "## What it was held to",
        _bullets(_budgets(verdicts, found)),
        "## Machine",
        _table(_machine(run, cell, record)),
        "## Limits",
        _bullets(_limits(run, cell, record, told)),
    ]
    return "\n\n".join(parts) + "\n"


_USE = """\
```sh
python predict.py {samples} --labels labels.npy    # needs NumPy and the engine, nothing else
perfsuite run suite.toml                               # measures it again, and judges it
```"""


def _table(rows: Iterable[tuple[str, str]]) -> str:
    lines = [f"| {escape(name)} | {escape(text)} |" for name, text in rows if text]
    return "\n".join(["| | |", "| --- | --- |", *lines])


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {escape(line)}" for line in lines)


# -- provenance ----------------------------------------------------------------------------------


def _provenance(run: Run, cell: Cell, told: Told) -> Iterator[tuple[str, str]]:
    header = run.header
    yield "workload", str(portable(header.suite.workloads[cell.workload], told.folder))
    yield told.weights
    yield "recipe", cell.recipe
    yield "runtime", f"{cell.runtime}, {cell.device}, {cell.precision}"
    yield "made by", named(told.command) or f"the suite {header.suite.name}"
    both = {**header.environment.subject, **told.versions}
    yield "versions", ", ".join(f"{name} {version}" for name, version in both.items())


def _recipe(run: Run, cell: Cell, told: Told) -> list[str]:
    """Return each pass with all of its fields, those that nobody gave included."""
    recipe = next(one for one in run.header.suite.recipes if one.name == cell.recipe)
    if not recipe.passes:
        return ["The recipe has no passes: the model is as it was given."]
    return ["### Its passes", _table(_passes(recipe, told.folder))]


def _passes(recipe: ResolvedRecipe, folder: Path) -> Iterator[tuple[str, str]]:
    for number, use in enumerate(recipe.passes, 1):
        made = make_pass(use, f"recipes.{recipe.name}.passes[{number - 1}]")
        fields = portable(msgspec.to_builtins(made), folder)
        version = getattr(made, "version", "")
        given = {key: value for key, value in fields.items() if value is not None}
        text = ", ".join(f"{key} = {value_text(value)}" for key, value in given.items())
        yield f"{number}. {portable(use.use, folder)}, version {version}", text or "no fields"


# -- what it is worth ----------------------------------------------------------------------------


def _accuracy(run: Run, record: Record, references: Sequence[Record]) -> list[str]:
    if not record.accuracies:
        return ["It was not evaluated: the task has no labelled samples."]
    main = record.accuracies[0]
    asked = run.header.suite.evaluate.samples
    chosen = f"{'a seeded choice of the' if asked else 'all'} {main.split} samples"
    rows = [
        (one.metric, f"{share_text(one.value)}{_around(metrics.level(record, one.metric))}")
        for one in record.accuracies
    ]
    rows += [
        (f"points lost against {other.cell.key}", loss_text(loss))
        for other in references
        if (loss := metrics.known_loss(other, record)) is not None
    ]
    samples = f"Answered by this artifact: {chosen}, {main.samples:,}; intervals are of 95 %."
    return [samples, _table(rows), f"Samples (digest): `{main.digest}`."]


def _around(interval: Interval | None) -> str:
    return "" if interval is None else words.spread(interval, share_text)


def _speed(record: Record, references: Sequence[Record]) -> Iterator[tuple[str, str]]:
    latency = metrics.level(record, LATENCY)
    if latency is not None:
        around = words.spread(latency, words.seconds)
        yield "latency", f"{words.seconds(latency.value)}{around}"
    yield "processes", str(len(record.latencies_s))
    for other in references:
        faster = metrics.ratio(other, record, LATENCY, "median")
        if faster is not None:
            theirs = metrics.typical_latency(other)
            at = f", which takes {words.seconds(theirs)}" if theirs is not None else ""
            yield f"speed-up over {other.cell.key}", f"{faster_text(faster)}{at}"
    for name, show in (
        ("artifact_bytes", words.size),
        ("run_peak_bytes", words.size),
        ("parameters", lambda value: words.quantity(value, "1")),
        (MACS, lambda value: words.quantity(value, "1")),
    ):
        if (value := metrics.level(record, name)) is not None:
            title = {"artifact_bytes": "size of the engine's files", "run_peak_bytes": "memory"}
            least = "at least " if metrics.uncounted(record, name) else ""
            yield title.get(name, name), least + show(value.value)


def _budgets(verdicts: Iterable[Verdict], found: Guarded) -> Iterator[str]:
    names = {budget.name for budget in found.budgets}
    for one in verdicts:
        if one.budget in names:
            yield f"{one.budget}: {one.status.replace('_', ' ')}; {verdict_sentence(one)}"


# -- where it was measured -----------------------------------------------------------------------


def _machine(run: Run, cell: Cell, record: Record) -> Iterator[tuple[str, str]]:
    machine = run.header.environment.must_match
    flags = record.device.features if record.device is not None else machine.flags
    yield "processor", str(record.device or machine.processor)
    yield "its best instruction sets", ", ".join(best_instruction_sets(flags))
    used = instruction_sets(record.evidence)
    whose = f" ({used.reported_by} says)" if used.reported_by else ""
    yield "that its kernels used", f"{', '.join(used.names)}{whose}" if used.names else "not told"
    yield "kernels", ", ".join(
        f"{name}: {count}" for name, count in sorted((record.evidence.kernels if record.evidence
                                                      else {}).items())
    )  # fmt: skip
    yield "usable cores", str(machine.usable_cores)
    yield "threads", str(cell.threads)
    yield "batch", str(cell.batch)
    context = run.header.environment.context
    yield "system", " ".join(filter(None, (context.get("system"), context.get("kernel"))))


def _limits(run: Run, cell: Cell, record: Record, told: Told) -> Iterator[str]:
    yield (
        "Times are of this machine: another processor has other kernels. Run the suite beside this "
        "card where it will work."
    )
    workload = str(portable(run.header.suite.workloads[cell.workload], told.folder))
    if said := other_processors(told.manifest, workload, read_elsewhere(record.artifact)):
        yield said
    if not any("batch" in spec.shape for spec in told.manifest.inputs) or told.manifest.single:
        yield f"A call takes {cell.batch} sample{'s' * (cell.batch != 1)} and no other number."
    else:
        yield f"A call may have any number of samples; {cell.batch} at a time is what was timed."
    for spec in told.manifest.inputs:
        yield f"Input {spec.name}: {spec.dtype} ({', '.join(map(str, spec.shape))})."
    yield f"Outputs: {', '.join(told.manifest.outputs)}."
    if not told.preprocessed:
        yield (
            "How stored samples become its inputs was not declared: predict.py takes its own input "
            "arrays."
        )
    elif not told.compared:
        yield (
            "How stored pictures become its inputs is told by the task, and was not held against "
            "what the task does with a picture, since it has no from_picture(): compare some "
            "answers, and the top-1 of predict.py with the accuracy above."
        )
    if run.header.quick:
        yield "It was measured with --quick, which is too little to be believed."
    if any(one.split == "validation" for one in record.accuracies):
        yield (
            "Its accuracy is of validation samples, by which it may have been chosen; the suite "
            "asks the test samples."
        )
    if record.made_up:
        yield "It was timed on made-up inputs."
    for label in record.labels:
        yield f"Label: {label}."
    for caution in judge(run).warnings:
        said = caution_sentence(caution)
        if cell.key in said:
            yield said
