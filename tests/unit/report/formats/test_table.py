"""A format of one's own is one file, and what goes wrong in it is told in words."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from stored_run import store_run

from perfsuite import api, plugins
from perfsuite.cli import main
from perfsuite.errors import ConfigError

PAGE = '''
"""A page for browsers."""

from html import escape

from perfsuite.report import rows


class Html:
    """One item a cell, for browsers."""

    suffix = ".html"

    def render(self, run, judgement):
        items = (f"<li>{escape(row.key)}</li>" for row in rows(run, judgement))
        return f"<ul>{''.join(items)}</ul>exit code {judgement.exit_code}"


html = Html()
'''
ITEMS = "<ul><li>net/fp32/pytorch/cpu/b1</li><li>net/fp32/openvino/cpu/b1</li></ul>exit code 0"


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "my_format.py"
    path.write_text(PAGE)
    store_run(tmp_path / "run")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        yield path


def perfsuite(*arguments: str) -> Result:
    return CliRunner().invoke(main, arguments)


@pytest.mark.parametrize("name", ["html", "Html"])
def test_a_format_of_ones_own_is_one_file(page: Path, name: str) -> None:
    done = perfsuite("report", "run", "--format", f"my_format.py:{name}")
    assert (done.exit_code, done.stdout.strip()) == (0, ITEMS)
    assert perfsuite("report", "run", "--format", f"my_format.py:{name}", "-o", "p.html").stdout
    assert Path("p.html").read_text() == ITEMS
    assert api.report(Path("run"), f"{page}:{name}") == ITEMS


def test_a_format_of_an_installed_package(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("slides", "my_format:Html", "perfsuite.formats")
    monkeypatch.setattr(plugins, "entry_points", lambda group: [point] * (group == point.group))
    monkeypatch.syspath_prepend(page.parent)
    assert perfsuite("report", "run", "--format", "slides").stdout.strip() == ITEMS
    assert "  slides  from an installed package\n" in perfsuite("list", "formats").stdout


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("return 1 / 0", "failed in line 4 of my_format.py with ZeroDivisionError: division"),
        ("raise SystemExit(1)", "failed in line 4 of my_format.py with SystemExit: 1"),
        ("return 7", "render() gave int; it must return a str"),
        (r"return '\udcff'", "render() gave a text that cannot be written: 'utf-8' codec can't"),
    ],
)
def test_what_goes_wrong_in_it_is_told_in_words(page: Path, body: str, told: str) -> None:
    page.write_text(
        f"class Html:\n    suffix = ''\n    def render(self, run, judgement):\n        {body}\n"
    )
    done = perfsuite("report", "run", "--format", "my_format.py:Html")
    assert done.exit_code == 2
    assert done.stderr.startswith("error: format 'my_format.py:Html': ")
    assert told in done.stderr


def test_what_is_no_format_is_refused(page: Path) -> None:
    page.write_text("html = 3\n")
    with pytest.raises(ConfigError, match=r"int has no render\(run, judgement\)"):
        api.report(Path("run"), "my_format.py:html")
    with pytest.raises(ConfigError, match="has no 'htlm'; did you mean 'html'"):
        api.report(Path("run"), "my_format.py:htlm")


def test_an_unknown_format_comes_with_a_suggestion(page: Path) -> None:
    done = perfsuite("report", "run", "--format", "jsn")
    assert (done.exit_code, done.stderr) == (
        2,
        "error: unknown format 'jsn'; did you mean 'json'? (your own: file.py:name)\n",
    )
