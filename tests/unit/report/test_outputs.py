"""What the outputs do with odd text, odd names and little data."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from typing import Any

import msgspec
import pytest
from rich.console import Console

from perfsuite.domain.cell import Cell
from perfsuite.domain.environment import Environment, MustMatch
from perfsuite.domain.recipe import FP32
from perfsuite.domain.record import Accuracy, Failure, Header, LayerWidth, Record, Run
from perfsuite.domain.suite import ResolvedSuite
from perfsuite.domain.verdict import Interval
from perfsuite.judge import judge
from perfsuite.report import FORMATS, print_run, render, rows
from perfsuite.report.formats.markdown import escape


def run(*cells: Cell, records: bool = True, **fields: Any) -> Run:
    machine = MustMatch("A", 6, 1, 1, (), {}, 1, None)
    suite = ResolvedSuite("s", {"net": "net"}, ("fake",), (FP32,))
    header = Header(1, "0", "", suite, cells, Environment(machine, {}, {}))
    defaults: dict[str, Any] = {
        "status": "ok",
        "latencies_s": {0: (0.5,), 1: (0.5,)},
        "values": {},
        "evidence": None,
        "labels": (),
        "error": None,
    }
    found = {cell.id: Record(cell=cell, **(defaults | fields)) for cell in cells}
    return Run(header, found if records else {})


def printed(one: Run, width: int = 120) -> str:
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None)
    print_run(console, one, judge(one))
    return stream.getvalue()


def test_rows_of_a_run_without_budgets() -> None:
    one = run(Cell("net", "fp32", "fake"), Cell("net", "fp32", "fake", batch=8))
    first, eighth = rows(one, judge(one))
    assert first.latency_s == 0.5
    assert first.verdict is None
    assert (first.reference, first.speedup) == ("", None)
    assert eighth.reference == ""  # another batch is no reference
    assert "nothing to judge" in printed(one)


def test_speed_up_is_against_the_first_cell_without_eager_fp32() -> None:
    one = run(Cell("net", "fp32", "fake"), Cell("net", "int8", "fake"))
    _, second = rows(one, judge(one))
    assert second.reference == "net/fp32/fake/cpu/b1"
    assert second.speedup == Interval(1.0, 1.0, 1.0)


def test_a_run_that_measured_nothing_can_be_shown() -> None:
    for one in (
        run(Cell("net", "fp32", "fake"), records=False),
        run(Cell("net", "fp32", "fake"), latencies_s={}),
        run(),
    ):
        assert printed(one)
        assert printed(one, 40)
        for name in FORMATS:
            assert isinstance(render(one, judge(one), name), str)


def test_markup_and_control_characters_are_only_text() -> None:
    one = run(
        Cell("[red]n[/red]", "fp32", "fake"),
        status="failed",
        error=Failure("E", "[/bold] \x1b[2J\x07 <script>|"),
    )
    text = printed(one)
    assert "[red]n[/red]" in text
    assert "[/bold]" in text
    assert "\x1b" not in text
    assert "\x07" not in text
    markdown = render(one, judge(one), "md")
    assert "\\<script\\>\\|" in markdown


def test_the_users_own_line_is_kept_of_a_traceback() -> None:
    library = 'File "/lib/site-packages/torch/nn.py", line {}, in forward'
    own = 'File "/home/me/net.py", line {}, in build'
    output = [own.format(3), "  y", own.format(7), "  return Linear(x)", library.format(1)]
    output += ["  one", library.format(2), "  two", "ValueError: no"]
    failure = Failure("ValueError", "no", "\n".join(output))
    one = run(Cell("net", "fp32", "fake"), status="failed", error=failure)
    (row,) = rows(one, judge(one))
    assert row.output == (library.format(2), "two", "ValueError: no")  # no file of the user's
    suite = msgspec.structs.replace(one.header.suite, workloads={"net": "/home/me/net.py:net"})
    mine = msgspec.structs.replace(one, header=msgspec.structs.replace(one.header, suite=suite))
    (row,) = rows(mine, judge(mine))
    assert row.output == (own.format(7), library.format(2), "two", "ValueError: no")


def test_what_is_counted_is_what_is_listed() -> None:
    fields: dict[str, Any] = {"status": "failed", "error": Failure("BuildError", "no kernel")}
    text = printed(run(Cell("net", "fp32", "fake"), Cell("net", "int8", "fake"), **fields))
    for recipe in ("fp32", "int8"):
        assert f"✗ net/{recipe}/fake/cpu/b1: failed: BuildError: no kernel" in text
    assert "✗ 2 failed; exit code 2" in text


def test_markdown_cells_stay_cells() -> None:
    assert escape("a|b\n*c*_d_`e`") == r"a\|b \*c\*\_d\_\`e\`"


@pytest.mark.parametrize("name", ["=1+1", "+a", "-a", "@a"])
def test_csv_holds_no_formula(name: str) -> None:
    one = run(Cell(name, "fp32", "fake"))
    (line,) = csv.DictReader(io.StringIO(render(one, judge(one), "csv")))
    assert line["workload"] == f"'{name}"
    assert float(line["latency_s"]) == pytest.approx(0.5)


def test_json_is_complete() -> None:
    one = run(Cell("net", "fp32", "fake"))
    document = json.loads(render(one, judge(one), "json"))
    assert document["header"]["suite"]["name"] == "s"
    assert document["rows"][0]["latency_s"] == pytest.approx(0.5)
    assert document["judgement"] == {"verdicts": [], "exit_code": 0, "warnings": []}


INT8 = Cell("net", "int8", "fake")


def compressed(macs: float | None) -> Run:
    """A cell of 200 MACs, and one of `macs` that came from it and takes as long."""
    one = run(Cell("net", "fp32", "fake"), INT8)
    values = {} if macs is None else {"macs": (macs,)}
    changed = msgspec.structs.replace(one.records[INT8.id], values=values)
    first = Cell("net", "fp32", "fake").id
    counted = msgspec.structs.replace(one.records[first], values={"macs": (200.0,)})
    return msgspec.structs.replace(one, records={first: counted, INT8.id: changed})


@pytest.mark.parametrize("macs", [200.0, None])
def test_theory_is_left_out_where_no_macs_changed(macs: float | None) -> None:
    one = compressed(macs)
    assert "heory" not in printed(one)
    assert "heory" not in render(one, judge(one), "md")


def test_a_terminal_that_is_narrower_than_the_sketch_gets_none() -> None:
    one = with_losses()
    assert "Pareto front" in printed(one, 70)
    assert "Pareto front" not in printed(one, 60)
    sketched = [line for line in printed(one, 70).splitlines() if line.startswith("points 2x")]
    assert [len(line) for line in sketched] == [67], "as wide as it was drawn"


def test_noise_has_no_bar() -> None:
    one = with_losses()
    (last,) = [cell for cell in one.header.cells if cell.recipe == "c"]
    noisy = dict(enumerate((0.01,) if n % 2 else (9.0,) for n in range(4)))
    changed = msgspec.structs.replace(one.records[last.id], latencies_s=noisy)
    one = msgspec.structs.replace(one, records={**one.records, last.id: changed})
    lines = {line.split()[0]: line for line in printed(one).splitlines() if "/fake/" in line}
    assert "█" in lines["b/fake/cpu/b1"]
    assert "noise" in lines["c/fake/cpu/b1"]
    assert "█" not in lines["c/fake/cpu/b1"]


def with_losses() -> Run:
    """Return a run of three variants that are faster and lose more, one after the other."""
    cells = [Cell("net", name, "fake") for name in ("fp32", "a", "b", "c")]
    one = run(*cells)
    records = {
        cell.id: msgspec.structs.replace(
            one.records[cell.id],
            latencies_s=dict.fromkeys(range(4), (0.5 / (1 + place),)),
            accuracies=(Accuracy("top1", 0.9 - place / 100, 100, "d", (0.9 - place / 100,) * 5),),
        )
        for place, cell in enumerate(cells)
    }
    return msgspec.structs.replace(one, records=records)


def test_theory_stands_beside_the_clock_in_all_outputs() -> None:
    one = compressed(100.0)
    line = ["int8/fake/cpu/b1", "fp32", "2x", "1x (1-1)", "0.50 (0.50-0.50)"]
    assert " ".join(line) in [" ".join(text.split()) for text in printed(one).splitlines()]
    markdown = render(one, judge(one), "md")
    assert f"| {' | '.join(line)} |  |  |" in markdown
    assert "not proven faster than fp32: 1x (1-1) |" in markdown
    assert "int8/fake/cpu/b1: not proven faster than fp32: 1x (1-1)" in printed(one)
    _, read = csv.DictReader(io.StringIO(render(one, judge(one), "csv")))
    assert (read["parent"], read["macs_ratio"]) == ("net/fp32/fake/cpu/b1", "2.0")
    assert (read["realised"], read["pace"]) == ("0.5", "not proven faster")
    gain = json.loads(render(one, judge(one), "json"))["rows"][1]["gain"]
    assert gain["realised"] == {"value": 0.5, "low": 0.5, "high": 0.5}


def test_theory_gives_way_on_narrow_terminals() -> None:
    for width in (60, 80, 100):
        assert "realised" in printed(compressed(100.0), width)
    assert "parameters" in printed(compressed(100.0), 120)
    assert "parameters" not in printed(compressed(100.0), 100)


NARROWED = (
    LayerWidth("features.0", 64, 32),
    LayerWidth("a|b", 32, 0),
    LayerWidth("fc1", 16, 16, ranks=(4, 3)),
    LayerWidth("fc2", 16, 16, left="its channels are an output"),
)


def with_widths(*widths: tuple[LayerWidth, ...]) -> Run:
    """A cell of the recipe `half` on as many engines as there are nets."""
    engines = ("fake", "other")
    cells = [Cell("net", "half", name) for name, _ in zip(engines, widths, strict=False)]
    one = run(Cell("net", "fp32", "fake"), *cells)
    changed = {
        cell.id: msgspec.structs.replace(one.records[cell.id], widths=each)
        for cell, each in zip(cells, widths, strict=True)
    }
    return msgspec.structs.replace(one, records={**one.records, **changed})


def test_what_was_changed_is_told_once_for_a_net_that_serves_several_engines() -> None:
    one = with_widths(NARROWED, NARROWED)
    told = "half: 4 layers: 1 narrower, 1 gone, 1 factorized; 50 % of all channels stay"
    assert printed(one).count(told) == 1
    markdown = render(one, judge(one), "md")
    assert f"<details><summary>{told}</summary>" in markdown
    assert "| features.0 | 64 | 32 | ████████ |  |" in markdown
    assert r"| a\|b | 32 | gone |  |  |" in markdown
    assert "| fc1 | 16 | 16, rank 4 and 3 | ████████████████ |  |" in markdown
    assert "| its channels are an output |" in markdown
    row = json.loads(render(one, judge(one), "json"))["rows"][1]
    assert row["widths"][0] == {"layer": "features.0", "before": 64, "after": 32}


def test_engines_with_nets_of_their_own_are_told_apart() -> None:
    text = printed(with_widths(NARROWED, NARROWED[:1]))
    assert "half/fake: 4 layers" in text
    assert "half/other: 1 layer: 1 narrower; 50 % of all channels stay" in text


def test_a_sentence_that_is_html_escapes_as_html_does() -> None:
    name = "a<b>*&"
    cell = Cell("net", name, "fake")
    one = run(cell, widths=NARROWED)
    assert "<summary>a&lt;b&gt;*&amp;: 4 layers" in render(one, judge(one), "md")


def test_layers_may_become_wider() -> None:
    text = printed(with_widths((LayerWidth("a", 10, 12), LayerWidth("b", 10, 9))))
    assert "half: 2 layers: 1 narrower, 1 wider; 105 % of all channels stay" in text


def test_nothing_is_told_of_nets_that_no_pass_narrowed() -> None:
    one = run(Cell("net", "fp32", "fake"))
    assert "What was changed" not in printed(one) + render(one, judge(one), "md")


def test_nothing_heavy_is_imported() -> None:
    code = (
        "import sys, perfsuite.report; "
        "print(sorted({'torch', 'scipy', 'onnx', 'rich.table'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
