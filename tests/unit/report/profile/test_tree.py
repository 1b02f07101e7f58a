"""A breakdown as a person reads it."""

from __future__ import annotations

import io

from rich.console import Console

from perfsuite.domain.profile import OVERHEAD, UNATTRIBUTED, Breakdown, BreakdownRow, Roofline
from perfsuite.report.profile.tree import Tree, render, sentences, tree_lines
from perfsuite.report.tables.texts import rest_text, stages_text

ROOFS = Roofline(flops_per_s=100e9, bytes_per_s=10e9, threads=1, precision="fp32")
CONV = BreakdownRow("layer1.0/Conv", "operator", 0.004, 2 * 10**6, 300, 4000)
ADD = BreakdownRow("layer1/Add", "operator", 0.001, 0, 0, 2000)
LAYER = BreakdownRow(
    "layer1", "stage", 0.005, 2 * 10**6, 300, 6000,
    (BreakdownRow("layer1.0", "module", 0.004, 2 * 10**6, 300, 4000, (CONV,)), ADD),
)  # fmt: skip
FC = BreakdownRow(
    "fc",
    "stage",
    0.002,
    None,
    50,
    None,
    (BreakdownRow("fc/Gemm", "operator", 0.002, None, 50, None),),
)
REST = (BreakdownRow(OVERHEAD, "rest", 0.003), BreakdownRow(UNATTRIBUTED, "rest", 0.0, 0, 0, 0))
CALL = Breakdown(0.01, 5, (LAYER, FC, *REST), ("fused/Conv (layer1, fc)",), untraced_s=0.007)


def printed(tree: Tree, width: int = 120, encoding: str = "utf-8") -> str:
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="strict")
    Console(file=stream, width=width, color_system=None).print(tree)
    stream.seek(0)
    return stream.read()


def line(text: str, name: str) -> list[str]:
    (found,) = (one for one in text.splitlines() if name in one and "  " in one)
    return found.split()


def test_names_under_their_parents() -> None:
    assert [one.branches + one.name for one in tree_lines(CALL)] == [
        "layer1",
        "├─ 0",
        "│  └─ Conv",
        "└─ Add",
        "fc",
        "└─ Gemm",
        OVERHEAD,
        UNATTRIBUTED,
    ]
    assert len(tree_lines(CALL, depth=1)) == 4
    assert len(tree_lines(CALL, depth=2)) == 7


def test_small_operators_are_one_row() -> None:
    tiny = tuple(BreakdownRow(f"s/Add_{n}", "operator", 1e-5, 3, 1, 10) for n in range(4))
    large = BreakdownRow("s/Conv", "operator", 0.009, 5, 2, None)
    stage = BreakdownRow("s", "stage", 0.00904, 17, 6, None, (tiny[0], large, *tiny[1:]))
    rest = (
        BreakdownRow(OVERHEAD, "rest", 0.00096),
        BreakdownRow(UNATTRIBUTED, "rest", 0.0, 0, 0, 0),
    )
    found = tree_lines(Breakdown(0.01, 1, (stage, *rest)))
    assert [one.branches + one.name for one in found[:3]] == [
        "s",
        "├─ Conv",
        "└─ 4 small operators",
    ]
    together = found[2].row
    assert (together.macs, together.parameters, together.bytes) == (12, 4, 40)
    assert together.time_s == sum(one.time_s for one in tiny)


def test_numbers_are_whole_however_long_the_names() -> None:
    row = BreakdownRow("x" * 200, "stage", 0.00125, 10**6, 300, 6000)
    rest = (
        BreakdownRow(OVERHEAD, "rest", 0.00875),
        BreakdownRow(UNATTRIBUTED, "rest", 0.0, 0, 0, 0),
    )
    text = printed(Tree(Breakdown(0.01, 5, (row, *rest))), width=90)
    numbers = ["1.25", "ms", "12.5", "%", "1", "M", "300", "6", "kB", "1.6"]
    first, *others = (one.split() for one in text.splitlines() if one.startswith("xxx"))
    assert first[1:] == numbers
    assert all(len(one) == 1 for one in others[:3]), "its other lines have no numbers"
    assert max(map(len, text.splitlines())) <= 90


def test_a_long_name_goes_on_below_its_branch() -> None:
    inner = BreakdownRow("s." + "y" * 40, "module", 0.00125, 0, 0, 0)
    last = BreakdownRow("s." + "z" * 40, "module", 0.00125, 0, 0, 0)
    stage = BreakdownRow("s", "stage", 0.01, 0, 0, 0, (inner, last))
    lines = printed(Tree(Breakdown(0.01, 5, (stage, REST[1]))), width=60).splitlines()
    (begin,) = (place for place, one in enumerate(lines) if one.startswith("├─ y"))
    assert lines[begin + 1].startswith("│  y")
    (begin,) = (place for place, one in enumerate(lines) if one.startswith("└─ z"))
    assert lines[begin + 1].startswith("   z")
    assert "".join(lines).count("y") == "".join(lines).count("z") == 40


def test_the_tree_shows_every_number() -> None:
    text = printed(Tree(CALL, ROOFS, latency_s=0.008))
    # 2 MMACs in 5 ms: 0.8 GFLOP/s
    assert line(text, "layer1 ") == ["layer1", "5", "ms", "50", "%", "██████", "2", "M", "300",
                                     "6", "kB", "0.8"]  # fmt: skip
    assert line(text, "fc ") == ["fc", "2", "ms", "20", "%", "██", "?", "50", "?"]
    assert line(text, OVERHEAD) == ["engine", "overhead", "3", "ms", "30", "%", "████"]
    assert line(text, UNATTRIBUTED) == [UNATTRIBUTED, "0", "ns", "0", "%"]
    assert line(text, "total") == ["total", "10", "ms", "100", "%", "≥", "2", "M", "350", "?"]
    assert "layer1 holds the model back: 5 ms of 10 ms (50 %)" in text
    said = " ".join(text.split())
    assert "A profiled call takes 10 ms (mean of 5 calls). Profiling cost 3 ms of the 10 ms" in said
    assert "without it (1 ms for each of 3 kernels)." in said
    assert "the profiled process takes 12.5 % less: a difference between processes" in said


def test_a_narrow_terminal_gets_less() -> None:
    text = printed(Tree(CALL), width=70)
    assert "█" not in text
    assert "parameters" not in text
    assert max(map(len, text.splitlines())) <= 70


def test_a_terminal_without_unicode() -> None:
    text = printed(Tree(CALL), encoding="ascii")
    assert "|- 0" in text
    assert "######" in text


def test_nothing_in_a_name_is_an_instruction() -> None:
    name = "[bold red]x[/]\x1b[31m"
    found = Breakdown(0.01, 1, (BreakdownRow(name, "stage", 0.01), *REST))
    assert "[bold red]x[/] [31m" in printed(Tree(found))


def test_markdown_has_the_same_in_a_table() -> None:
    lines = render(CALL, ROOFS, depth=2).splitlines()
    assert lines[2] == "| layer1 | 5 ms | 50 % | 2 M | 300 | 6 kB | 0.8 |"
    assert lines[3].startswith("| &nbsp;&nbsp;&nbsp;0 | 4 ms | 40 % |")
    assert "| total | 10 ms | 100 % | ≥ 2 M | 350 | ? |  |" in lines
    assert lines[-1].startswith("- Fused across stages")
    assert lines[-2].startswith("- Profiling cost 3 ms of the 10 ms")


def test_markdown_is_escaped() -> None:
    found = Breakdown(0.01, 1, (BreakdownRow("a|b<i>\n*c*", "stage", 0.01), *REST))
    assert r"| a\|b\<i\> \*c\* |" in render(found)


def test_what_was_fused_across_stages_is_named_and_counted() -> None:
    many = Breakdown(0.01, 1, CALL.rows, tuple(f"k{index}" for index in range(7)))
    assert sentences(many, None, None)[-1].endswith("operator: k0; k1; k2; k3; k4; and 2 more.")
    assert sentences(CALL, None, None)[-3] == "A profiled call takes 10 ms (mean of 5 calls)."


def test_a_call_that_took_no_time() -> None:
    empty = Breakdown(0.0, 1, REST[1:])
    assert "0 %" in printed(Tree(empty))
    assert "mean of 1 call)" in render(empty)


def test_a_line_names_the_longest_stages_and_what_is_none() -> None:
    assert stages_text(CALL) == "layer1 50 %, fc 20 %"
    assert rest_text(CALL, OVERHEAD) == "30 %"
    many = tuple(BreakdownRow(f"s{n}", "stage", n / 10) for n in (1, 4, 2, 3, 0))
    assert stages_text(Breakdown(1.0, 1, (*many, *REST))) == "s4 40 %, s3 30 %, s2 20 %, s1 10 %"
