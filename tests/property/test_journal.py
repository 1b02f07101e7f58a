"""Any journal reads back as it was written, and survives being cut anywhere."""

from __future__ import annotations

import string
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from perfsuite.domain.cell import Cell
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.recipe import PassUse, ResolvedRecipe
from perfsuite.domain.record import (
    SCHEMA,
    Accuracy,
    Evidence,
    EvidenceItem,
    Failure,
    Header,
    Line,
    Measurement,
)
from perfsuite.domain.suite import Budget, ResolvedSuite
from perfsuite.store.journal import Journal, read
from perfsuite.store.runs import fold

CELLS = tuple(Cell("net", recipe, "fake") for recipe in ("fp32", "int8", "thin"))
NUMBER = st.floats(allow_nan=False, allow_infinity=False)
SAMPLES = st.lists(NUMBER, max_size=4).map(tuple)
TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
NAME = st.text(string.ascii_lowercase, min_size=1, max_size=6)

MEASUREMENT = st.builds(Measurement, NAME, st.just("s"), SAMPLES, st.none() | NAME)
ACCURACY = st.builds(Accuracy, NAME, NUMBER, st.integers(0, 99), NAME, SAMPLES)
ITEM = st.builds(
    EvidenceItem, st.sampled_from(["observed", "reported", "inferred"]), TEXT, TEXT, TEXT
)
LINE = st.builds(
    Line,
    st.sampled_from([cell.id for cell in CELLS]),
    TEXT,
    st.sampled_from(["prepare", "measure", "evaluate", "inspect"]),
    st.sampled_from(["ok", "failed", "unsupported", "unavailable"]),
    round=st.integers(0, 3),
    duration_s=NUMBER,
    cached=st.booleans(),
    artifact=TEXT,
    labels=st.lists(NAME, max_size=2).map(tuple),
    measurements=st.lists(MEASUREMENT, max_size=2).map(tuple),
    accuracies=st.lists(ACCURACY, max_size=3).map(tuple),
    accuracy=st.none() | ACCURACY,
    evidence=st.none() | st.builds(Evidence, st.lists(ITEM, max_size=2).map(tuple)),
    error=st.none() | st.builds(Failure, NAME, TEXT, TEXT),
    parity=st.dictionaries(NAME, NUMBER, max_size=2),
)
FIELDS = st.dictionaries(NAME, NUMBER | TEXT | st.booleans() | st.integers(-9, 9), max_size=2)
SUITE = st.builds(
    lambda name, fields, limit: ResolvedSuite(
        name,
        {"net": "net"},
        ("fake",),
        (ResolvedRecipe("fp32"), ResolvedRecipe("int8", (PassUse("int8", fields),))),
        budgets=(Budget(name, "latency_s", min_speedup=limit),),
        processes=2,
    ),
    NAME,
    FIELDS,
    st.floats(0.5, 100),
)
HEADER = st.builds(
    lambda suite, flags, quota: Header(
        SCHEMA,
        "0.1.0",
        "",
        suite,
        CELLS,
        Environment(MustMatch("cpu", 6, 85, 7, flags, {"L2": 1}, 2, quota), {}, {}),
    ),
    SUITE,
    st.lists(NAME, max_size=3).map(tuple),
    st.none() | NUMBER,
)


@settings(max_examples=25, deadline=None)
@given(HEADER, st.lists(LINE, max_size=3), st.lists(LINE, max_size=2))
def test_written_resumed_and_read_again(header: Header, one: list[Line], two: list[Line]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        with Journal.create(Path(folder), header) as journal:
            for line in one:
                journal.append(line)
        with Journal.resume(Path(folder)) as journal:
            assert (journal.header, journal.lines, journal.warnings) == (header, one, [])
            for line in two:
                journal.append(line)
        assert read(Path(folder)) == (header, one + two, [])


@settings(max_examples=25, deadline=None)
@given(HEADER, st.lists(LINE, min_size=1, max_size=3), st.data())
def test_cut_anywhere_behind_the_header(
    header: Header, lines: list[Line], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Journal.create(folder, header) as journal:
            start = (folder / "run.jsonl").stat().st_size
            for line in lines:
                journal.append(line)
        raw = (folder / "run.jsonl").read_bytes()
        cut = raw[: data.draw(st.integers(start, len(raw)))]
        (folder / "run.jsonl").write_bytes(cut)
        # A line is whole when its closing brace is there, with or without the line's end.
        whole = sum(
            1 for row in cut[start:].split(b"\n") if row in raw[start:].split(b"\n") and row
        )
        assert read(folder)[:2] == (header, lines[:whole])
        with Journal.resume(folder) as journal:
            for line in lines[whole:]:
                journal.append(line)
        assert (folder / "run.jsonl").read_bytes() == raw


@given(HEADER, st.lists(LINE, max_size=6))
def test_folding_again_what_counted_changes_nothing(header: Header, lines: list[Line]) -> None:
    run = fold(header, lines)
    assert list(run.records) == [cell.id for cell in CELLS]
    assert fold(header, lines + lines) == run
