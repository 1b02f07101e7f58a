"""What tables and warnings say of 8-bit arithmetic and of answers that differ from fp32."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from judged_runs import INT8, record, run

from perfsuite.domain.judgement import LittleInt8, Unlike
from perfsuite.domain.record import Accuracy, Likeness
from perfsuite.judge import judge
from perfsuite.judge.cautions import cautions
from perfsuite.report.formats.csv import Csv
from perfsuite.report.formats.markdown import Markdown
from perfsuite.report.sentences import caution_sentence
from perfsuite.report.tables.cell_rows import CellRow, rows
from perfsuite.report.tables.rounding import rounding_text

ALIKE, UNLIKE = Likeness("y", 0.99834, 0.05, 8), Likeness("z", 0.52, 0.9, 8)
BOXES = Likeness("boxes", left_out="its shape depends on the answers")


def row(**fields: Any) -> CellRow:
    made = run(record(INT8, 0.1, **fields))
    return rows(made, judge(made))[0]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({}, ""),
        ({"int8_share": 0.96}, "int8: 96 % of MACs"),
        ({"int8_share": 0.96, "float_shares": {"MatMul": 0.04}}, "int8: 96 % of MACs"),
        ({"int8_share": 0.86, "float_shares": {"Add": 0.01, "MatMul": 0.1, "Conv": 0.03}},
         "int8: 86 % of MACs (float: MatMul 10 %, Conv 3 %)"),
        ({"likeness": (ALIKE,)}, "cos 0.9983 to fp32"),
        ({"likeness": (ALIKE, UNLIKE), "int8_share": 1.0},
         "int8: 100 % of MACs, cos 0.5200 to fp32 (z)"),
        ({"likeness": (BOXES,)},
         "boxes not compared with fp32: its shape depends on the answers"),
        ({"likeness": (BOXES, ALIKE)}, "cos 0.9983 to fp32 (y); boxes not compared with fp32: its "
         "shape depends on the answers"),
    ],
)  # fmt: skip
def test_texts(fields: dict[str, Any], text: str) -> None:
    assert rounding_text(row(**fields)) == text


def test_all_formats_tell() -> None:
    made = run(record(INT8, 0.1, likeness=(ALIKE, UNLIKE), int8_share=0.25))
    judgement = judge(made)
    header, line = (text.split(",") for text in Csv().render(made, judgement).splitlines())
    told = dict(zip(header, line, strict=True))
    assert (told["int8_share"], told["cosine"], told["relative_error"]) == ("0.25", "0.52", "0.9")
    assert "int8: 25 % of MACs, cos 0.5200 to fp32 (z)" in Markdown().render(made, judgement)


def test_little_of_it_in_8_bits_is_a_warning() -> None:
    made = run(record(INT8, 0.1, int8_share=0.49))
    (found,) = cautions(made)
    assert found == LittleInt8(INT8.key, 0.49)
    assert caution_sentence(found).startswith(f"{INT8.key}: only 49 % of its MACs ran in 8 bits: ")
    assert cautions(run(record(INT8, 0.1, int8_share=0.5))) == []


@pytest.mark.parametrize(
    ("in_float", "words"),
    [
        ({}, "the engine has no 8-bit kernels for the rest, or its weights are not constant"),
        ({"Loop": 0.6}, "60 % lie inside of Loop, where int8 rounds nothing"),
        (
            {"If": 0.25, "Conv": 0.2, "Loop": 0.15},
            "40 % lie inside of If and Loop, where int8 rounds nothing; the engine has no 8-bit "
            "kernels for the rest, or its weights are not constant",
        ),
        ({"LSTM": 0.6}, "60 % are those of LSTM, which int8 leaves in float"),
        (
            {"com.microsoft::FusedConv": 0.6},
            "60 % are those of com.microsoft::FusedConv, which ONNX Runtime wrote when it "
            "optimized the file: give the file that this one was made from",
        ),
    ],
)
def test_what_stays_in_float_is_told_by_what_it_is(in_float: dict[str, float], words: str) -> None:
    (found,) = cautions(run(record(INT8, 0.1, int8_share=0.4, float_shares=in_float)))
    assert found == LittleInt8(INT8.key, 0.4, in_float)
    told = caution_sentence(found)
    assert told == f"{INT8.key}: only 40 % of its MACs ran in 8 bits: {words}"


def test_answers_that_nothing_else_judges_and_differ_are_a_warning() -> None:
    made = run(record(INT8, 0.1, likeness=(ALIKE, UNLIKE, BOXES)))
    (found,) = cautions(made)
    assert found == Unlike(INT8.key, "z", 0.52)
    assert "the mean cosine of output 'z' is 0.520, and no labelled" in caution_sentence(found)
    known = Accuracy("top1", 0.9, 10, "d", (0.9,))
    assert cautions(run(record(INT8, 0.1, likeness=(UNLIKE,), accuracies=(known,)))) == []
    own = Accuracy("agreement", 0.9, 10, "d", (0.9,))  # with answers that may be wrong themselves
    assert cautions(run(record(INT8, 0.1, likeness=(UNLIKE,), accuracies=(own,)))) == [found]
    assert cautions(run(record(INT8, 0.1, likeness=(ALIKE, BOXES)))) == []


def test_records_of_earlier_versions_tell_neither() -> None:
    made = record(INT8, 0.1)
    assert (made.likeness, made.int8_share, made.least_like) == ((), None, None)
    assert msgspec.json.decode(msgspec.json.encode(ALIKE), type=Likeness) == ALIKE
