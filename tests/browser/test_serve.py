"""The index of a folder's runs, in a browser, and the way to a run and back."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hostile_runs import hostile, write_hostile_run
from looking import barriers, text_of, too_wide
from serving import serving
from stored_run import store_run

from benchmarks.page_run import Size
from tests.browser.conftest import PHONE, Open

FEW = Size(1, 2, 2, processes=2, samples=10, modules=1, replicates=20)
RAN = "window.count = 0; window.ran = () => { window.count += 1; };"
ODD = "<img src=x onerror=ran()> & 'ü'"  # a folder's name has no slash


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("reports")
    store_run(folder / "one")
    write_hostile_run(folder / ODD, FEW)
    (folder / f"{ODD}-as-it-was").rename(folder / "plain")
    (folder / "torn").mkdir()
    (folder / "torn" / "run.jsonl").write_text('{"schema": 1')
    with serving(folder) as (_, found, _):
        yield found


def test_the_index_leads_to_each_run_and_back(open_page: Open, address: str) -> None:
    page = open_page(address).page
    rows = page.locator("#runs tbody tr")
    assert rows.count() == 4
    assert "corrupt" in rows.filter(has_text="torn").inner_text()
    for name, title in (("one", "small"), ("plain", "made up"), (ODD, hostile("made up"))):
        page.get_by_role("link", name=name, exact=True).click()
        page.locator("#cells").wait_for()
        assert page.locator("h1").inner_text() == title
        page.go_back()
    page.get_by_role("button", name="run", exact=True).click()
    assert page.locator("tbody th").last.inner_text() == "torn"


def test_no_name_of_a_run_is_a_script(open_page: Open, address: str) -> None:
    page = open_page(address, before=RAN).page
    assert page.evaluate("window.count") == 0
    assert page.locator("img").count() == 0
    text = text_of(page)
    assert ODD in text
    assert hostile("made up") in " ".join(text.split())


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_nobody_is_kept_from_reading_it(open_page: Open, address: str, dark: bool) -> None:
    page = open_page(address, PHONE, dark=dark, is_mobile=True).page
    assert barriers(page) == []
    assert too_wide(page) == []
