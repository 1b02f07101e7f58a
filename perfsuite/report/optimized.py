"""The answer of a search: on the terminal, as Markdown, and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from perfsuite.domain.optimum import Candidate, Optimum
from perfsuite.report.formats.markdown import escape, markdown_table
from perfsuite.report.sentences.optimum import explanations, headline, why_text
from perfsuite.report.tables import optimum as tables
from perfsuite.report.tables.cell_rows import plain
from perfsuite.report.tables.sketch import sketch
from perfsuite.report.terminal import as_text, print_texts, print_warnings, widen

if TYPE_CHECKING:
    from rich.console import Console


class CandidateDocument(Candidate, frozen=True):
    """A candidate with why it was chosen or not, in words."""

    words: str = ""


class OptimumDocument(Optimum, frozen=True):
    """The answer with its sentences."""

    words: tuple[str, ...] = ()


def optimum_document(found: Optimum) -> OptimumDocument:
    """Return the answer for programs: its fields, and sentences."""
    fields = {name: getattr(found, name) for name in found.__struct_fields__}
    fields["candidates"] = tuple(
        CandidateDocument(
            **{name: getattr(one, name) for name in one.__struct_fields__},
            words=why_text(one, found.goal),
        )
        for one in found.candidates
    )
    return OptimumDocument(**fields, words=(headline(found), *explanations(found)))


def optimum_markdown(found: Optimum) -> str:
    """Return the answer as Markdown."""
    parts = [f"# optimize {escape(found.workload)}", f"**{escape(headline(found))}**"]
    parts += [escape(one) for one in explanations(found)]
    parts.append(f"Reference: {escape(found.reference)} on {escape(found.machine.processor)}.")
    for title, columns, rows in _tables(found):
        parts += [f"## {escape(title)}", markdown_table(columns, rows)]
    if drawn := sketch(found):
        parts += ["\n".join(["```", *drawn, "```"])]
    if found.warnings:
        parts += ["## Warnings", "\n".join(f"- {escape(one)}" for one in found.warnings)]
    return "\n\n".join(parts) + "\n"


def print_optimum(console: Console, found: Optimum) -> None:
    """Print the answer, the table of what was judged, and that of all candidates."""
    widen(console)
    for title, columns, rows in _tables(found):
        console.print(as_text(console, title, "bold"))
        print_texts(console, columns, rows)
        console.print()
    for line in sketch(found):
        console.print(as_text(console, f"  {line}"))
    console.print()
    for sentence in explanations(found):
        console.print(as_text(console, plain(sentence)))
    print_warnings(console, found.warnings)
    style = {0: "bold green", 1: "bold red"}.get(found.exit_code, "bold yellow")
    console.print()
    console.print(as_text(console, plain(headline(found)), style))


def _tables(found: Optimum) -> Iterable[tuple[str, Sequence[str], list[tuple[str, ...]]]]:
    tested, lines = list(tables.tested_lines(found)), list(tables.lines(found))
    if tested:
        yield tables.TESTED_TITLE, tables.TESTED_COLUMNS, tested
    yield tables.TITLE, tables.COLUMNS, lines
