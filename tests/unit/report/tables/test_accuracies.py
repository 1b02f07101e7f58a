"""Every output says which samples an accuracy is of, if they are not those for testing."""

from __future__ import annotations

import csv
import io
import json

import pytest
from judged_runs import EAGER, INT8, accuracy, record, run
from rich.console import Console

from perfsuite.domain.judgement import OnValidation
from perfsuite.domain.record import Run
from perfsuite.domain.suite import Split
from perfsuite.judge import judge
from perfsuite.report import print_run, render
from perfsuite.report.sentences import caution_sentence
from perfsuite.report.tables.cell_rows import CellRow, rows
from perfsuite.report.tables.texts import metric_text


def answered(split: Split) -> Run:
    """Return a run of two cells, each with two metrics of the samples of `split`."""
    made = (
        record(
            cell,
            0.1,
            0.1,
            accuracies=(
                accuracy(0.93, split=split),
                accuracy(0.99, metric="top5", split=split),
            ),
        )
        for cell in (EAGER, INT8)
    )
    return run(*made)


def terminal(one: Run) -> str:
    stream = io.StringIO()
    print_run(Console(file=stream, width=140, color_system=None), one, judge(one))
    return stream.getvalue()


def test_words_of_a_metric() -> None:
    found = rows(answered("validation"), judge(answered("validation")))[0]
    assert metric_text("top5", found) == "validation top5"
    assert metric_text("top1", CellRow(EAGER, EAGER.key, "ok")) == "top1"


@pytest.mark.parametrize(("split", "name"), [("test", "top1"), ("validation", "validation top1")])
def test_tables_name_the_samples(split: Split, name: str) -> None:
    one = answered(split)
    printed = terminal(one)
    assert f" {name} " in printed
    assert ("validation top5" in printed) == (split == "validation")
    markdown = render(one, judge(one), "md")
    assert f"| {name} 93.00 % |" in markdown
    assert ("| validation top5 |" in markdown) == (split == "validation")
    line = next(csv.DictReader(io.StringIO(render(one, judge(one), "csv"))))
    assert (line["accuracy_metric"], line["accuracy_split"]) == ("top1", split)
    document = json.loads(render(one, judge(one), "json"))
    assert {row["accuracy_split"] for row in document["rows"]} == {split}


@pytest.mark.parametrize("width", [80, 100, 120])
def test_the_word_is_whole_in_a_narrow_terminal(width: int) -> None:
    stream, one = io.StringIO(), answered("validation")
    print_run(
        Console(file=stream, width=width, force_terminal=True, color_system=None), one, judge(one)
    )
    head = stream.getvalue().partition("fp32")[0]
    assert "validation" in head


def test_a_run_on_validation_samples_is_told_once() -> None:
    sentence = caution_sentence(OnValidation())
    assert sentence == (
        "accuracies are those of validation samples, by which variants may be chosen; what was "
        'chosen is judged by test samples: evaluate = { split = "test" }'
    )
    assert terminal(answered("validation")).replace("\n", " ").count("accuracies are those of") == 1
    assert "accuracies are those of" not in terminal(answered("test"))


def test_without_an_accuracy_there_is_no_split() -> None:
    one = run(record(EAGER, 0.1, 0.1))
    assert rows(one, judge(one))[0].accuracy_split == ""
