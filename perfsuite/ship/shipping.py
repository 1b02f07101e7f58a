"""What a run has measured is written into a folder that stands alone."""

from __future__ import annotations

import pprint
from pathlib import Path
from typing import Any

import msgspec

from perfsuite import __version__
from perfsuite.config.loading import load_suite
from perfsuite.domain.cell import Cell
from perfsuite.domain.preprocessing import Preprocessing
from perfsuite.domain.record import Line, Record, Run
from perfsuite.domain.runtime import Manifest
from perfsuite.domain.task import Task
from perfsuite.errors import ConfigError, Incomparable, PerfsuiteError, Unsupported
from perfsuite.judge import trouble
from perfsuite.plugins import suggestion
from perfsuite.report.sentences import reason_text
from perfsuite.runner.build.artifacts import Facts, read_facts, read_manifest
from perfsuite.runner.run_files import digests_of
from perfsuite.ship.card import Told, card_text
from perfsuite.ship.suite import ARTIFACT, guarded, write_suite
from perfsuite.store.disk import replacing
from perfsuite.store.journal import read
from perfsuite.store.kept import copy_files, digest_of_list, kept
from perfsuite.store.runs import fold
from perfsuite.user_code import user_code
from perfsuite.workloads.checked import unchecked
from perfsuite.workloads.tasks.preprocessed import is_compared, preprocessing_fault

CARD, SCRIPT, SUITE = "MODEL_CARD.md", "predict.py", "suite.toml"
ENGINES = ("onnxruntime", "openvino", "perfsuite-binary")  # whose artifacts the script opens
_EMPTY = "SETTINGS: dict[str, Any] = {}\n"  # in the script as it stands here


def ship(run_folder: Path, cell_key: str, folder: Path, *, command: str = "") -> Path:
    """Return `folder`, into which a cell of a run was written, to be used without perfsuite.

    The run was made with its artifacts kept. The folder gets the artifact, a model card, a script
    that runs it with nothing but its engine and NumPy, and a suite that holds it to the budgets of
    the run; `command` is what the card says that it was made by. Nothing is left of it where
    anything fails. Raises `ConfigError` for a folder that holds something, a cell that is not there
    or did not end well, and a run without the artifact or a budget; `SchemaError` for an artifact
    that was changed; `Incomparable` for a model whose file has changed since the run; `Unsupported`
    for what does not stand alone; `PerfsuiteError` when the disk is full.
    """
    folder = _free(folder)
    header, lines, warnings = read(run_folder)
    run = fold(header, lines, warnings)
    cell = _cell(run, run_folder, cell_key)
    record = run.records[cell.id]
    artifact = _artifact(run_folder, record)
    facts, manifest = read_facts(artifact), read_manifest(artifact)
    _require_alone(cell, facts)
    found = guarded(run, cell)
    _require_same_files(run, run_folder, cell)
    task, how, compared = _task(run, cell)
    told = Told(
        command=command,
        weights=_weights(run, cell, lines),
        manifest=manifest,
        folder=folder,
        versions=facts.versions,
        preprocessed=how is not None,
        compared=compared,
    )
    card = card_text(run, cell, found, told)
    digest = digest_of_list(artifact)
    script = script_text({**settings(cell, record, manifest, facts, task, how), "files": digest})
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with replacing(folder) as beside:
            (beside / ARTIFACT).mkdir(parents=True)
            copy_files(artifact, beside / ARTIFACT)
            (beside / CARD).write_text(card, encoding="utf-8")
            (beside / SCRIPT).write_text(script, encoding="utf-8")
            write_suite(beside / SUITE, run, cell, found, folder, digest)
            load_suite(beside / SUITE)  # which verifies the copy, too
    except OSError as error:
        raise PerfsuiteError(
            f"{folder}: cannot be written: {error.strerror}; nothing was left there, and the run "
            f"is as it was: make room, or choose another folder"
        ) from error
    return folder


def _free(folder: Path) -> Path:
    """Return the folder's whole path; raise `ConfigError` if there is something at it."""
    folder = folder.resolve()
    try:
        taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read: {error.strerror}") from error
    if taken:
        raise ConfigError(f"{folder}: there is something already; choose a new or an empty folder")
    return folder


def _cell(run: Run, run_folder: Path, key: str) -> Cell:
    """Return the cell of a key; raise `ConfigError` unless it is there and ended well."""
    cells = {cell.key: cell for cell in run.header.cells}
    if key not in cells:
        raise ConfigError(f"{run_folder}: the run has no cell '{key}'{suggestion(key, cells)}")
    reason = trouble(run.records.get(cells[key].id))
    if reason is not None:
        raise ConfigError(f"{run_folder}: {key} cannot be shipped: {reason_text(reason)}")
    return cells[key]


def _artifact(run_folder: Path, record: Record) -> Path:
    found = kept(run_folder, record.artifact) if record.artifact else None
    if found is None:
        raise ConfigError(
            f"{run_folder}: the artifact of {record.cell.key} was not kept with the run; go on "
            f"with it: perfsuite run SUITE -o {run_folder} --resume --keep-artifacts"
        )
    return found


def _require_alone(cell: Cell, facts: Facts) -> None:
    """Raise `Unsupported` for what the script cannot run with its engine and NumPy alone."""
    if cell.runtime not in ENGINES or facts.needs_source:
        why = "it is run with the model's own source and torch" if facts.needs_source else ""
        raise Unsupported(
            f"{cell.key} cannot be shipped: {why or 'the script opens no artifact of this runtime'}"
            f"; ship the same recipe on {' or '.join(ENGINES[:-1])}, or a binary net on "
            f"{ENGINES[-1]}"
        )


def _require_same_files(run: Run, run_folder: Path, cell: Cell) -> None:
    """Raise `Incomparable`, naming it, if a file of the cell has changed since the run."""
    before = run.header.files
    for name, now in digests_of(run.header.suite, [cell]).items():
        if before and before.get(name) != now:
            raise Incomparable(
                f"{name}: it has changed since the run in {run_folder}, and what is shipped must "
                f"be what was measured; put it back, or run the suite again"
            )


def _task(run: Run, cell: Cell) -> tuple[Task, Preprocessing | None, bool]:
    """Return the cell's task, what it declares of its preprocessing, and whether it does just that.

    The last is False where it makes inputs of no picture. Raises `ConfigError` where it contradicts
    itself.
    """
    from perfsuite.workloads.table import load_workload

    suite, name = run.header.suite, cell.workload
    workload = load_workload(
        suite.workloads[name],
        suite.samples.get(name, ""),
        suite.shapes.get(name, {}),
        suite.detection.get(name),
    )
    how, own = workload.task.preprocessing(), unchecked(workload.task)
    with user_code(f"{name}: comparing its preprocessing() with its inputs"):
        told, compared = preprocessing_fault(own), is_compared(own)
    if told:
        raise ConfigError(f"{name}: {told}; correct it, or let it return None")
    return workload.task, how, compared


def _weights(run: Run, cell: Cell, lines: list[Line]) -> tuple[str, str]:
    """Return what the model's weights were, and their digest."""
    from perfsuite.workloads.table import weights_of
    from perfsuite.workloads.zoo.weights import sha256_of

    if (file := weights_of(run.header.suite.workloads[cell.workload])) is not None:
        return f"weights, {file.name}", f"SHA-256 {sha256_of(file)}"
    read_ = (line.model for line in lines if line.cell == cell.id and line.model)
    return "weights before passes", f"digest {next(read_, 'not read')}"


def settings(
    cell: Cell,
    record: Record,
    manifest: Manifest,
    facts: Facts,
    task: Task,
    how: Preprocessing | None,
) -> dict[str, Any]:
    """Return what the script must know beyond `artifact.json`."""
    is_open = any("batch" in spec.shape for spec in manifest.inputs) and not manifest.single
    at_timed = any(label.startswith("answered ") for label in record.labels)
    return {
        "cell": cell.key,
        "threads": cell.threads,
        "versions": _installed_by(cell, facts),
        "any_batch": is_open and not at_timed,
        "top1": next(iter(task.metrics()), "") == "top1",
        "preprocessing": None if how is None else described(how),
    }


def _installed_by(cell: Cell, facts: Facts) -> dict[str, str]:
    """Return what is to be installed to run the script, with versions."""
    own = {"perfsuite[binary]": __version__} if cell.runtime == ENGINES[-1] else {}
    return {**own, **facts.versions}


def described(how: Preprocessing) -> dict[str, Any]:
    """Return a preprocessing as plain data, as the script knows it."""
    return {**msgspec.to_builtins(how), "channels": how.channels}


def script_text(known: dict[str, Any]) -> str:
    """Return the script with its settings."""
    text = (Path(__file__).parent / "script.py").read_text(encoding="utf-8")
    literal = pprint.pformat(known, width=90, sort_dicts=False)
    return text.replace(_EMPTY, f"SETTINGS: dict[str, Any] = {literal}\n")
