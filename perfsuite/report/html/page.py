"""The whole page, made from a judged run by the sections, the templates and the static files."""

from __future__ import annotations

import gzip
import hashlib
import re
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from perfsuite import __version__
from perfsuite.domain.judgement import Judgement
from perfsuite.domain.record import Run
from perfsuite.judge import Comparison
from perfsuite.report.html.blocks import Section
from perfsuite.report.tables.cell_rows import CellRow, groups, plain, rows, title

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

_PACKAGE = "perfsuite.report.html"
# What could end a script element, or begin a comment in it, as JSON writes it otherwise.
_UNSAFE = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ESCAPES = str.maketrans(_UNSAFE)
_JOINTS = re.compile(r"([/_](?=\w))")
# Lines of lazy tables up to which a page has them all: it is small, and reads without scripts.
_WHOLE = 2000


@dataclass(frozen=True)
class Page:
    """What sections are made from: a run, its judgement, and where its side files lie, if known.

    `comparison` is there where the run is held against another one.
    """

    run: Run
    judgement: Judgement
    folder: Path | None = None
    comparison: Comparison | None = None

    @cached_property
    def rows(self) -> list[CellRow]:
        """Return a row for each cell, in the order of the suite."""
        return rows(self.run, self.judgement)

    @cached_property
    def groups(self) -> dict[str, list[CellRow]]:
        """Return the rows by workload."""
        return groups(self.rows)


def page_html(page: Page) -> str:
    """Return the whole document as a text."""
    from perfsuite.report.html.sections.table import sections

    name = plain(page.run.header.suite.name)
    return document(name, title(page.run).removeprefix(f"{name}: "), sections(page))


def document(name: str, subtitle: str, shown: Sequence[Section]) -> str:
    """Return a whole document with this title and these sections."""
    script = _static("page.js")
    library = _static("plotly.min.js") if any(_plots(one.blocks) for one in shown) else ""
    text = (
        _environment()
        .get_template("page.html")
        .render(
            name=name,
            subtitle=subtitle,
            sections=shown,
            version=__version__,
            style=_static("page.css"),
            script=script,
            library=library,
            policy=_policy(script, library),
            whole=sum(_lazy_lines(one.blocks) for one in shown) <= _WHOLE,
        )
    )
    return f"{text}\n"


def _policy(*scripts: str) -> str:
    """Return what browsers allow the page: these scripts and no other, and nothing from elsewhere.

    They are known by their digests (Content Security Policy, level 2). What no text of a run should
    ever become would not run either.
    """
    known = (b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in scripts if one)
    allowed = " ".join(f"'sha256-{digest}'" for digest in known)
    return (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _plots(blocks: Any) -> bool:
    return any(one.kind == "plot" or _plots(_inside(one)) for one in blocks)


def _lazy_lines(blocks: Any) -> int:
    """Return how many lines the lazy tables have, those behind plots among them."""
    own = (getattr(one, "table", one) for one in blocks)
    lazy = sum(len(one.lines) for one in own if one.kind == "table" and one.lazy)
    return lazy + sum(_lazy_lines(_inside(one)) for one in blocks)


def _inside(block: Any) -> Any:
    return getattr(block, "blocks", getattr(block, "folds", ()))


@cache
def _environment() -> Environment:
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader(_PACKAGE),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["island"] = _island
    made.filters["packed"] = _packed
    made.filters["broken"] = _broken
    return made


def _island(value: object) -> Markup:
    """Return the value as JSON that may stand in a script element, whatever texts it holds."""
    from markupsafe import Markup

    return Markup(msgspec.json.encode(value).decode().translate(_ESCAPES))


def _packed(value: object) -> str:
    """Return the value as compressed JSON, in letters and digits: for what is not seen at once."""
    return b64encode(gzip.compress(msgspec.json.encode(value), mtime=0)).decode()


def _broken(text: str) -> Markup:
    """Return the text with places after slashes, and the like, where a long name may be broken."""
    from markupsafe import Markup, escape

    return Markup(_JOINTS.sub(r"\1<wbr>", str(escape(text))))


@cache
def _static(name: str) -> Markup:
    """Return one of the files that the page carries, which are perfsuite's own."""
    from markupsafe import Markup

    text = files(_PACKAGE).joinpath("static", name).read_text(encoding="utf-8")
    return Markup(text)
