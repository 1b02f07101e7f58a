"""Pages of runs that are hostile, torn, old, or hardly runs: nothing runs, breaks or is hidden."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from hostile_runs import HOSTILE, hostile, write_hostile_run
from judged_runs import EAGER, record, run
from looking import text_of, too_wide, unfold
from made_up_pictures import add_pictures

from benchmarks.page_run import Size, write_run
from perfsuite import api
from perfsuite.judge import judge
from perfsuite.report import render
from tests.browser.conftest import PHONE, Open

# Counts what ran, and makes what is asked for appear among the requests.
RAN = "window.count = 0; window.ran = () => { window.count += 1; };"
FEW = Size(1, 3, 3, processes=2, samples=10, modules=1, replicates=20)

# Of each kind of text one that the page shows; what stands there must be read in full.
SHOWN = {
    "workload": "classifier",
    "recipe": "prune-2x",
    "runtime": "openvino",
    "suite": "made up",
    "budget": "the classifier is twice as fast",
    "stage": "backbone",
    "layer": "backbone.0.conv",
    "reason": "INT8 graphs run on engines that take ONNX",
    "error": "the worker ended with signal 11",
    "finding": "two OpenMP libraries are loaded",
    "label": "the last layer stays in float",
    "file": "my_models.py",
    "processor": "a made-up processor",
    "version": "2026.4.1",
    "environment": "Linux",
    "words of a picture": "a tabby cat",
    "box in a picture": "a red blood cell",
    "word that was looked for": "a looked-for word",
    "note on pictures": "the note on pictures",
}


def test_texts_of_a_run_are_read_as_they_are_and_none_is_a_script(
    open_page: Open, tmp_path: Path
) -> None:
    file = tmp_path / "run.html"
    run = write_hostile_run(tmp_path / "run", FEW)
    add_pictures(run, hostile)
    text = api.report(run, "html")
    file.write_text(text, encoding="utf-8")
    page = open_page(file, PHONE, before=RAN, is_mobile=True).page
    unfold(page)
    assert too_wide(page) == []
    text = re.sub(r"\s+", " ", text_of(page))
    assert [name for name, one in SHOWN.items() if hostile(one) not in text] == []
    drawn = page.locator(".plot text")
    assert any("</script>" in one for one in drawn.all_text_contents())
    assert drawn.locator("a").count() == 0
    points = page.locator(".plot .points path, .plot .slice path").all()
    for point in points[:: len(points) // 12]:
        point.hover(force=True)
    assert page.evaluate("window.count") == 0
    assert page.locator("img[src=x], svg[onload], a[href^=javascript], [onerror]").count() == 0
    assert page.evaluate("[...document.scripts].some(one => one.textContent === 'ran()')") is False


def test_names_of_300_letters_do_not_break_a_phone(open_page: Open, tmp_path: Path) -> None:
    long = "n" * 300
    cells = [record(EAGER, 0.1, 0.11), record(type(EAGER)(long, long, long), 0.1, 0.12)]
    made = run(*cells, name=long)
    file = tmp_path / "run.html"
    file.write_text(render(made, judge(made), "html"))
    page = open_page(file, PHONE, is_mobile=True).page
    unfold(page)
    assert too_wide(page) == []


RUNS = {
    "none": lambda: run(),
    "one": lambda: run(record(EAGER, 0.1, 0.11)),
    "failed": lambda: run(record(EAGER, status="failed")),
    "not run": lambda: run(cells=(EAGER,)),
}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_of_nearly_nothing_has_a_page(open_page: Open, tmp_path: Path, name: str) -> None:
    made = RUNS[name]()
    file = tmp_path / "run.html"
    file.write_text(render(made, judge(made), "html"))
    page = open_page(file).page
    assert page.locator("h1").inner_text() == "s"
    if made.header.cells:
        assert EAGER.key in page.locator("#cells").inner_text()


def test_a_torn_run_has_a_page_that_says_so(open_page: Open, tmp_path: Path) -> None:
    journal = write_run(tmp_path / "run", FEW) / "run.jsonl"
    journal.write_bytes(journal.read_bytes()[:-40])
    file = tmp_path / "run.html"
    file.write_text(api.report(tmp_path / "run", "html"))
    page = open_page(file).page
    assert "the last, is torn and was skipped" in text_of(page)


def test_a_run_of_an_earlier_version_has_a_page(
    open_page: Open, tmp_path: Path, root: Path
) -> None:
    for folder in sorted((root / "tests" / "golden" / "journals").iterdir()):
        shutil.copytree(folder, tmp_path / folder.name)
        file = tmp_path / f"{folder.name}.html"
        file.write_text(api.report(tmp_path / folder.name, "html"))
        page = open_page(file).page
        assert page.locator("#cells tbody tr").count() >= 1


def test_what_is_hostile_would_run_in_a_page_that_trusts_it(open_page: Open) -> None:
    """The traps are sharp: without escapes they catch."""
    watched = open_page("about:blank", before=RAN)
    watched.page.set_content(f"<p>{HOSTILE}</p>")
    watched.page.wait_for_function("window.count > 0")
    watched.said.clear()
    watched.asked.clear()
