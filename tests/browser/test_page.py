"""The page of a run, in a browser."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from looking import barriers, text_of, too_wide, unfold
from made_up_pictures import add_pictures

from benchmarks.page_run import Size, write_run
from perfsuite import api
from tests.browser.conftest import PHONE, Open, Watched

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

SMALL = Size(2, 5, 3, processes=3, samples=20, modules=2, replicates=50)
LITTLE = Size(1, 3, 3, processes=2, samples=10, modules=1, replicates=20)

# Resolves when the page scrolls no more. It is one call, as pages allow no scripts of strings.
RESTED = """async () => {
  for (let before = NaN; before !== scrollY; ) {
    before = scrollY;
    await new Promise((done) => setTimeout(done, 150));
  }
}"""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the page of a made-up run of 30 cells."""
    return written(tmp_path_factory.mktemp("page"), SMALL)


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return one of 9 cells, small enough to be looked at everywhere."""
    return written(tmp_path_factory.mktemp("little"), LITTLE)


def written(folder: Path, size: Size) -> Path:
    """Return the page of a made-up run."""
    made, run = folder / "run.html", write_run(folder / "run", size)
    add_pictures(run)
    made.write_text(api.report(run, "html"), encoding="utf-8")
    return made


def cells_table(watched: Watched) -> Locator:
    """Return the table of all cells, with its box."""
    return watched.page.locator("#cells .table").first


def test_it_opens_from_disk_and_leads_everywhere(open_page: Open, little: Path) -> None:
    page = open_page(little).page
    assert page.locator("h1").inner_text() == "made up"
    unfold(page)
    ids = page.eval_on_selector_all("[id]", "all => all.map(one => one.id)")
    assert len(set(ids)) == len(ids)
    links = page.eval_on_selector_all("a", "all => all.map(one => one.getAttribute('href'))")
    assert links
    assert [one for one in links if one[0] != "#" or one[1:] not in ids] == []


def test_tables_sort_by_numbers_and_by_words(open_page: Open, file: Path) -> None:
    watched = open_page(file)
    table = cells_table(watched)
    for name, ascending in (("latency", True), ("latency", False), ("MACs", True)):
        table.get_by_role("button", name=name, exact=True).click()
        head = table.get_by_role("columnheader", name=name, exact=True)
        assert head.get_attribute("aria-sort") == ("ascending" if ascending else "descending")
        place = head.evaluate("one => one.cellIndex")
        values = table.locator("tbody tr").evaluate_all(
            "(rows, place) => rows.map(row => row.cells[place].dataset.value)", place
        )
        known = [float(one) for one in values if one is not None]
        assert len(known) >= 20
        assert known == sorted(known, reverse=not ascending)
        # What has no number comes last, whichever way.
        assert all(one is None for one in values[len(known) :])
    table.get_by_role("button", name="cell", exact=True).focus()
    watched.page.keyboard.press("Enter")
    keys = table.locator("tbody th").all_inner_texts()
    assert keys == sorted(keys)


def test_tables_filter_by_parts_of_words(open_page: Open, file: Path) -> None:
    table = cells_table(open_page(file))
    table.get_by_role("searchbox").fill("int8 OPENVINO")
    shown = table.locator("tbody tr:visible th").all_inner_texts()
    assert shown == [f"{name}/int8/openvino/cpu/b1" for name in ("classifier", "detector")]
    assert table.locator("output, [for], .filter .quiet").last.inner_text() == "2 of 30"
    table.get_by_role("searchbox").fill("")
    assert table.locator("tbody tr:visible").count() == 30


def test_a_point_of_the_front_says_what_it_is_and_leads_to_its_cell(
    open_page: Open, file: Path
) -> None:
    page = open_page(file).page
    plot = page.locator(".plot").first
    plot.scroll_into_view_if_needed()
    point = plot.locator(".scatterlayer .points path").first
    point.wait_for()
    point.hover(force=True)
    label = plot.locator(".hoverlayer .hovertext")
    label.wait_for()
    key = re.search(r"[\w-]+/[\w-]+/cpu/b1", label.text_content())
    assert key, label.text_content()
    point.click(force=True)
    page.wait_for_url("**#cell-*")
    row = page.locator(page.evaluate("location.hash"))
    assert key[0] in row.inner_text()
    page.evaluate(RESTED)
    box = row.bounding_box()
    assert box
    assert 0 <= box["y"] <= 800


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nobody_is_kept_from_reading_it(open_page: Open, little: Path, dark: bool) -> None:
    page = open_page(little, dark=dark).page
    red, green, blue = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)"
    )
    assert (max(red, green, blue) < 64) if dark else (min(red, green, blue) > 192)
    unfold(page, one_of_each=True)
    assert barriers(page) == []


def test_the_theme_can_be_chosen(open_page: Open, file: Path) -> None:
    page = open_page(file).page
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.get_by_role("button", name="Dark").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != light
    page.get_by_role("button", name="Light").click()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light


def test_headings_are_in_order(open_page: Open, file: Path) -> None:
    levels = open_page(file).page.eval_on_selector_all(
        "h1, h2, h3, h4, h5, h6", "all => all.map(one => Number(one.tagName[1]))"
    )
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_each_plot_has_a_table_behind_it(open_page: Open, little: Path) -> None:
    page = open_page(little).page
    unfold(page)
    bare = page.locator("figure.plotted").evaluate_all(
        "all => all.filter(one => !one.querySelector('tbody tr')).map(one => one.textContent)"
    )
    assert page.locator("figure.plotted .plot").count() >= 5
    assert bare == []


def test_a_phone_scrolls_it_down_alone(open_page: Open, little: Path) -> None:
    page = open_page(little, PHONE, has_touch=True, is_mobile=True).page
    assert too_wide(page) == []
    unfold(page)
    assert too_wide(page) == []


def test_names_in_a_plot_end_inside_of_it_on_a_phone(open_page: Open, little: Path) -> None:
    page = open_page(little, PHONE, has_touch=True, is_mobile=True).page
    page.locator("#pareto .plot").first.scroll_into_view_if_needed()
    page.locator("#pareto .plot[data-drawn]").first.wait_for()
    cut = page.evaluate(
        """() => [...document.querySelectorAll("#pareto .plot")].flatMap((plot) => {
          const { left, right } = plot.getBoundingClientRect();
          const out = (one) => one.left < left || one.right > right;
          return [...plot.querySelectorAll(".textpoint text")].filter(
            (one) => out(one.getBoundingClientRect())
          ).map((one) => one.textContent);
        })"""
    )
    assert page.locator("#pareto .textpoint text").count() >= 2
    assert cut == []


def test_a_legend_of_many_lines_leaves_the_plot_its_room(open_page: Open, little: Path) -> None:
    heights = []
    for more in ({}, {"is_mobile": True}):
        page = open_page(little, PHONE if more else (1280, 800), **more).page
        page.locator("#stages .plot").first.scroll_into_view_if_needed()
        page.locator("#stages .plot[data-drawn] .bars").first.wait_for()
        bars = page.locator("#stages .plot").first.locator(".plot .bars, .barlayer").first
        heights.append(bars.evaluate("one => one.getBoundingClientRect().height"))
    desktop, phone = heights
    assert phone > 0.9 * desktop


def test_plots_follow_the_width_of_the_window(open_page: Open, little: Path) -> None:
    page = open_page(little).page
    plot = page.locator("#pareto .plot").first
    plot.scroll_into_view_if_needed()
    drawn = plot.locator(".main-svg").first
    drawn.wait_for()
    assert drawn.evaluate("one => one.clientWidth") > 1000
    page.set_viewport_size({"width": 500, "height": 800})
    narrow = page.evaluate(
        """async () => {
          const drawn = document.querySelector("#pareto .main-svg");
          for (let turn = 0; turn < 80 && drawn.clientWidth > 500; turn += 1) {
            await new Promise((done) => setTimeout(done, 100));
          }
          return drawn.clientWidth;
        }"""
    )
    assert narrow < 500


def test_it_reads_without_scripts(open_page: Open, file: Path) -> None:
    page = open_page(file, java_script_enabled=False).page
    assert "classifier/int8/openvino/cpu/b1" in page.locator("#cells").inner_text()
    empty = page.locator("table").evaluate_all(
        "all => all.filter(one => !one.tBodies[0].rows.length).map(one => one.textContent)"
    )
    assert empty == []
    assert not page.locator(".plot").first.is_visible()


def test_it_prints_what_it_shows(open_page: Open, file: Path) -> None:
    page = open_page(file).page
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert "classifier/int8/openvino/cpu/b1" in page.locator("#cells").inner_text()
    assert text_of(page)


PRINTED = """() => {
  dispatchEvent(new Event("beforeprint"));
  const plots = [...document.querySelectorAll(".plot")].filter((one) => one.checkVisibility());
  const found = {
    plots: plots.length,
    drawn: plots.filter((one) => one.querySelector(".main-svg")).length,
    open: document.querySelectorAll("details.fold[open]").length,
  };
  dispatchEvent(new Event("afterprint"));
  return found;
}"""


def printed(page: Page) -> dict[str, int]:
    """Return what is printed, as soon as all plots are drawn, or at last.

    What is packed is unpacked soon after the page was opened, not while it is printed.
    """
    for _ in range(40):
        found: dict[str, int] = page.evaluate(PRINTED)
        if found["drawn"] == found["plots"]:
            break
        page.wait_for_timeout(250)
    return found


def test_plots_in_closed_folds_are_printed_and_closed_again(open_page: Open, little: Path) -> None:
    page = open_page(little).page
    before = page.locator("details.fold[open]").count()
    found = printed(page)
    assert found["plots"] == found["drawn"] == page.locator(".plot").count()
    assert found["open"] > before
    assert page.locator("details.fold[open]").count() == before
    fold = page.locator("#stages details.fold").first
    fold.locator("summary").first.click()
    fold.locator(".plot[data-drawn] .main-svg").first.wait_for()
    width = fold.locator(".main-svg").first.evaluate("one => one.getBoundingClientRect().width")
    assert width > 1000, "it is drawn for the screen again"


def test_a_large_page_prints_what_is_open_and_says_so(open_page: Open, tmp_path: Path) -> None:
    page = open_page(written(tmp_path, Size(2, 6, 4, 2, 10, 1, 20))).page
    before = page.locator("details.fold[open]").count()
    assert printed(page)["open"] == before
    told = page.locator(".folded")
    assert not told.is_visible()
    page.emulate_media(media="print")
    assert told.is_visible()
    assert page.locator("details.fold:not([open]) > summary:visible").count() == 0
