"""What stands on a page of a run: elements, tables, and data, as a browser would read them."""

from __future__ import annotations

import gzip
import json
from base64 import b64decode
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

_VOID = {"meta", "link", "br", "input", "img", "hr"}


@dataclass
class Element:
    """One element, with its attributes, what it holds, and the text that stands in it alone."""

    name: str
    attributes: dict[str, str]
    children: list[Element | str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """Return all text below, in its order, with single blanks."""
        parts = [one if isinstance(one, str) else one.text for one in self.children]
        return " ".join(" ".join(parts).split())

    def all(self, name: str, **attributes: str) -> list[Element]:
        """Return the elements below with this name and these attributes, in their order."""
        found: list[Element] = []
        for one in self.children:
            if isinstance(one, Element):
                fits = all(one.attributes.get(key) == value for key, value in attributes.items())
                found += [one] if one.name == name and fits else []
                found += one.all(name, **attributes)
        return found


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.root = Element("document", {})
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "wbr":  # where a line may be broken: no text
            return
        made = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(made)
        if tag not in _VOID:
            self._open.append(made)

    def handle_endtag(self, tag: str) -> None:
        if self._open[-1].name != tag:
            raise AssertionError(f"</{tag}> ends <{self._open[-1].name}>")
        self._open.pop()

    def handle_data(self, data: str) -> None:
        inside = self._open[-1].children
        if inside and isinstance(inside[-1], str):
            inside[-1] += data
        else:
            inside.append(data)


def read_page(text: str) -> Element:
    """Return the document; an end tag that ends another element is an error."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    if len(reader._open) != 1:
        raise AssertionError(f"<{reader._open[-1].name}> is never ended")
    return reader.root


def section(page: Element, name: str) -> Element:
    """Return the section with this id."""
    return page.all("section", id=name)[0]


def lines(table: Element) -> list[list[str]]:
    """Return the texts of a table's body."""
    body = table.all("tbody")[0]
    return [
        [one.text for one in row.children if isinstance(one, Element)] for row in body.all("tr")
    ]


def figures(page: Element) -> list[dict[str, Any]]:
    """Return what is plotted, in its order."""
    return [unpacked(one) for one in page.all("script", **{"class": "figure"})]


def lazy_lines(page: Element) -> list[list[list[Any]]]:
    """Return the lines of the tables that the browser makes, by table."""
    return [unpacked(one) for one in page.all("script", **{"class": "lines"})]


def unpacked(island: Element) -> Any:
    """Return the data that the page carries in a script element."""
    if "data-gzip" in island.attributes:
        return json.loads(gzip.decompress(b64decode(island.text)))
    return json.loads(island.text)


def numbers(page: Element) -> list[float]:
    """Return the numbers that fields of tables carry beside their texts."""
    names = ("data-value", "data-low", "data-high")
    cells = [*page.all("td"), *page.all("th")]
    return [
        float(one.attributes[name]) for one in cells for name in names if name in one.attributes
    ]
