"""The terminal's output of a certificate."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from perfsuite.domain.certificate import Certificate
from perfsuite.report.sentences.certificate import certificate_sentence, share_sentences
from perfsuite.report.tables import certificate as tables
from perfsuite.report.tables.cell_rows import plain
from perfsuite.report.terminal import as_text, print_texts, print_warnings, widen

if TYPE_CHECKING:
    from rich.console import Console


def print_certificate(
    console: Console, certificate: Certificate, warnings: Sequence[str] = ()
) -> None:
    """Print what was measured, what gates find of it, and what can be seen in which time."""
    widen(console)
    title = f"{certificate.machine.processor}, {certificate.suite}, {certificate.rounds} rounds"
    console.print(as_text(console, plain(title), "bold"))
    columns = tables.cell_columns(certificate)
    _print_table(console, columns, tables.cell_lines(certificate))
    _print_table(console, tables.POWER_COLUMNS, tables.power_lines(certificate))
    _print_table(console, tables.VISIBLE_COLUMNS, tables.visible_lines(certificate))
    console.print()
    for sentence in (*share_sentences(certificate), certificate_sentence(certificate)):
        console.print(as_text(console, sentence))
    print_warnings(console, warnings)


def _print_table(console: Console, columns: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    console.print()
    print_texts(console, columns, lines)
