"""The command that makes a cell again."""

from __future__ import annotations

import msgspec
from reported_run import run

from perfsuite.domain.record import Header
from perfsuite.judge import judge
from perfsuite.report import rows
from perfsuite.report.html.sections.reproduce import command


def told(place: int, **fields: object) -> str:
    found = run()
    header: Header = msgspec.structs.replace(found.header, **fields)
    return command(rows(found, judge(found))[place], header)


def test_a_cell_of_a_file_is_named_with_its_reference() -> None:
    assert told(1, source="my suite.toml") == (
        "perfsuite run 'my suite.toml' --only vgg16-cifar10/int8/openvino/cpu/b1 "
        "--only vgg16-cifar10/fp32/pytorch/cpu/b1"
    )
    assert told(0, source="s.toml", quick=True) == (
        "perfsuite run s.toml --only vgg16-cifar10/fp32/pytorch/cpu/b1 --quick"
    )


def test_what_globs_and_shells_interpret_is_escaped() -> None:
    assert told(4, source="s.toml") == (
        "perfsuite run s.toml --only '[[]red]net|x/fp32/fake/cpu/b1'"
    )


def test_without_a_file_a_cell_is_profiled() -> None:
    assert told(0) == "perfsuite profile vgg16-cifar10 --runtime pytorch --threads 2"
    assert told(1) == "none: its recipe has fields of its own"
    assert told(4) == "perfsuite profile net.py:x --runtime fake --threads 2"
