"""The answer: whether limits hold, the best variant of each workload, and what to do next."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from perfsuite.domain.verdict import Verdict, VerdictStatus
from perfsuite.judge.bottleneck import bottleneck
from perfsuite.report import words
from perfsuite.report.html.blocks import (
    Block,
    Card,
    Cards,
    Fold,
    Heading,
    Section,
    Table,
    Text,
    Tone,
    Value,
)
from perfsuite.report.html.page import Page
from perfsuite.report.html.places import cell_place
from perfsuite.report.html.values import said
from perfsuite.report.sentences import bottleneck_sentences, caution_sentence, verdict_sentence
from perfsuite.report.sentences.answer import (
    NOT_ALL,
    best_sentence,
    budget_sentence,
    faster_than,
    headline,
    lost,
)
from perfsuite.report.sentences.next_step import next_step
from perfsuite.report.tables.best import Best, best_variants
from perfsuite.report.tables.cell_rows import SEVERITY, plain, short_key
from perfsuite.report.tables.texts import symbol_of

_FEW = 12  # verdicts that are shown without being asked for
_STEPS = 6  # pieces of advice


def answer(page: Page) -> Section:
    """Return the section that a reader in a hurry reads."""
    verdicts = page.judgement.verdicts
    blocks: list[Block] = [_headline(page)]
    blocks += _best(page)
    blocks += [_budgets(verdicts, page)] if verdicts else []
    blocks += _next_steps(page)
    blocks += [] if verdicts else _bottlenecks(page)
    blocks += _warnings(page)
    return Section("answer", "The answer", blocks, short="Answer")


def tone_of(status: VerdictStatus) -> Tone:
    """Return the tone of a verdict."""
    if status == "pass":
        return "good"
    return "bad" if status in ("failed", "regressed", "over_budget") else "unsure"


def _headline(page: Page) -> Text:
    found = page.judgement
    worst = min((one.status for one in found.verdicts), key=SEVERITY.index, default=None)
    tone: Tone = tone_of(worst) if worst else ""
    return Text((headline(found),), tone)


def _by_limit(verdicts: Sequence[Verdict]) -> dict[str, list[Verdict]]:
    found: dict[str, list[Verdict]] = {}
    for one in verdicts:
        found.setdefault(one.budget, []).append(one)
    return found


def _budgets(verdicts: Sequence[Verdict], page: Page) -> Fold | Table:
    places = {cell.key: cell_place(cell) for cell in page.run.header.cells}
    worst_first = sorted(verdicts, key=lambda one: SEVERITY.index(one.status))
    lines = [_verdict_line(one, places) for one in worst_first]
    columns = ("verdict", "limit", "cell", "in words")
    if len(verdicts) <= _FEW:
        return Table("What the run was held to", columns, lines)
    told = (f"{plain(name)}: {budget_sentence(them)}" for name, them in _by_limit(verdicts).items())
    summary = f"All {len(verdicts)} verdicts"
    every = Table("What the run was held to, cell by cell", columns, lines)
    return Fold(summary, (Text(tuple(told)), every), open=True)


def _verdict_line(one: Verdict, places: dict[str, str]) -> tuple[Value, ...]:
    found = one.estimate
    told = plain(verdict_sentence(one))
    sentence = Value(told)
    if found is not None:
        sentence = Value(told, found.value, found.low, found.high, prose=True)
    status = one.status.replace("_", " ")
    return (
        said(f"{symbol_of(one.status)} {status}", tone=tone_of(one.status)),
        said(one.budget),
        said(one.cell, link=places.get(one.cell, "")),
        sentence,
    )


def _next_steps(page: Page) -> Iterator[Block]:
    steps: dict[tuple[str, str], list[str]] = {}
    for one in page.judgement.verdicts:
        if (step := next_step(one, page.run)) is not None:
            steps.setdefault(step, []).append(one.cell)
    if not steps:
        return
    yield Heading("What to do next")
    for (told, command), cells in list(steps.items())[:_STEPS]:
        more = f" and {len(cells) - 1} more" if len(cells) > 1 else ""
        yield Text((f"{plain(cells[0])}{more}: {plain(told)}",), command=command)


def _best(page: Page) -> Iterator[Block]:
    """Yield a card for each workload: a factor, and what it is of."""
    found = [one for one in best_variants(page.rows) if one.row or one.nearest]
    if found:
        yield Cards([_card(one) for one in found])


def _card(best: Best) -> Card:
    row = best.row or best.nearest
    assert row is not None
    link = cell_place(row.cell)
    speedup = row.speedup
    if best.row is None or speedup is None:
        return Card(plain(best.workload), Value("", link=link), best_sentence(best))
    tone: Tone = "unsure" if best.open else "good"
    ends = (speedup.low, speedup.high)
    told_as = words.NOISE if words.is_noise(speedup) else words.times(speedup.value)
    figure = Value(told_as, speedup.value, *ends, link=link, tone=tone)
    told = (lost(row), NOT_ALL) if best.open else (lost(row),)
    return Card(plain(best.workload), figure, faster_than(row), told, short_key(row))


def _bottlenecks(page: Page) -> Iterator[Block]:
    """Yield what holds each workload back in the fastest cell that was profiled."""
    for workload, rows in page.groups.items():
        found = [
            (row.latency_s, record)
            for row in rows
            if row.latency_s is not None and not row.cell.switch
            for record in [page.run.records[row.cell.id]]
            if record.breakdown is not None
        ]
        if not found:
            continue
        latency_s, record = min(found, key=lambda one: one[0])
        assert record.breakdown is not None
        told = bottleneck_sentences(bottleneck(record.breakdown, record.roofline, latency_s))
        yield Heading(f"What holds {plain(workload)} back on {plain(record.cell.runtime)}")
        yield Text(tuple(map(plain, told)))


def _warnings(page: Page) -> Iterator[Block]:
    told = tuple(plain(caution_sentence(one)) for one in page.judgement.warnings)
    if told:
        count = f"{len(told)} warning{'s' * (len(told) != 1)}"
        yield Fold(count, (Text(told),), tone="unsure", open=len(told) <= _STEPS)
