"""The machine, the versions, and what the machine can see."""

from __future__ import annotations

from collections.abc import Iterator

from perfsuite.domain.certificate import Certificate
from perfsuite.domain.record import Header
from perfsuite.report.html.blocks import Block, Fold, Heading, Section, Table, Text, Value
from perfsuite.report.html.blocks import text as paragraphs
from perfsuite.report.html.page import Page
from perfsuite.report.html.values import number, said
from perfsuite.report.sentences.certificate import certificate_sentence, share_sentences
from perfsuite.report.tables import certificate as tables
from perfsuite.report.words import percent, size


def environment(page: Page) -> Section:
    """Return where and with what the run was made."""
    header = page.run.header
    blocks: list[Block] = [
        Table(
            "The machine; without the same, absolute times are not comparable",
            ("what", "here"),
            list(_machine(header)),
        ),
        *_named("Versions; a difference is told, never refused", header.environment.subject),
        *_named("Further", header.environment.context),
    ]
    blocks += _certificate(header.certificate)
    if header.files:
        lines = [(said(path), said(digest)) for path, digest in header.files.items()]
        caption = "SHA-256 of models, samples and plug-ins"
        blocks.append(Fold(caption, (Table(caption, ("file", "digest"), lines),)))
    return Section("environment", "Environment", blocks)


def _machine(header: Header) -> Iterator[tuple[Value, Value]]:
    machine = header.environment.must_match
    yield said("processor"), said(machine.processor)
    if machine.card:
        yield said("card"), said(machine.card)
    yield (
        said("family, model, stepping"),
        said(f"{machine.family}, {machine.model}, {machine.stepping}"),
    )
    yield said("usable cores"), _told(machine.usable_cores, f"{machine.usable_cores}")
    quota = machine.quota_cores
    yield said("quota"), said("none") if quota is None else _told(quota, f"{quota:g}")
    for name, value in machine.caches_bytes.items():
        yield said(f"cache {name}"), _told(value, size(value))
    yield said("flags"), said(" ".join(machine.flags))
    yield said("perfsuite"), said(header.perfsuite)
    yield said("made"), said(header.created_at)


def _told(value: float, text: str) -> Value:
    """Return a number in a column of texts."""
    return Value(text, value, prose=True)


def _named(caption: str, values: dict[str, str]) -> list[Block]:
    if not values:
        return []
    lines = [(said(name), said(str(value))) for name, value in values.items()]
    return [Table(caption, ("what", "here"), lines)]


def _certificate(found: Certificate | None) -> list[Block]:
    if found is None:
        advice = "No certificate: what this machine can see is not known."
        return [Heading("What this machine can see"), Text((advice,), command="perfsuite certify")]
    told = (certificate_sentence(found), *share_sentences(found))
    power = [
        (
            number(one.effect, percent),
            Value(line[1], one.found.value, one.found.low, one.found.high),
        )
        for one, line in zip(found.power, tables.power_lines(found), strict=True)
    ]
    visible = [
        (
            Value(line[0], one.rounds),
            said(line[1]),
            said(line[2]) if one.in_80 is None else Value(line[2], one.in_80),
            said(line[3]) if one.in_95 is None else Value(line[3], one.in_95),
        )
        for one, line in zip(found.visible, tables.visible_lines(found), strict=True)
    ]
    return [
        Heading("What this machine can see"),
        paragraphs(*told),
        Table("Changes of known size that gates find", tables.POWER_COLUMNS, power),
        Table("The smallest changes that are seen", tables.VISIBLE_COLUMNS, visible),
    ]
