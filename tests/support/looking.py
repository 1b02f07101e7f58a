"""What tests look for on an open page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from axe_playwright_python.sync_playwright import Axe

if TYPE_CHECKING:
    from playwright.sync_api import Page

GRAVE = ("serious", "critical")

# All text that may come to be shown, without scripts, styles and the data of plots.
_TEXT = """() => {
  const skipped = new Set(["SCRIPT", "STYLE", "NOSCRIPT", "TEMPLATE"]);
  const walker = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT);
  const parts = [];
  while (walker.nextNode()) {
    if (!skipped.has(walker.currentNode.parentElement.tagName)) parts.push(walker.currentNode.data);
  }
  return parts.join("");
}"""
_UNFOLD = """async (folds) => {
  const frame = () => new Promise(requestAnimationFrame);
  document.querySelectorAll(folds).forEach((one) => { one.open = true; });
  await frame();
  for (const plot of document.querySelectorAll(".plot")) {
    if (!plot.checkVisibility()) continue;
    plot.scrollIntoView({ behavior: "instant" });
    while (!plot.dataset.drawn) await frame();
  }
}"""
_TOO_WIDE = """() => {
  const width = document.documentElement.clientWidth;
  const shows = (one) => {
    for (let box = one.parentElement; box; box = box.parentElement) {
      if (getComputedStyle(box).overflowX !== "visible") return false;
    }
    return Math.max(one.getBoundingClientRect().right, one.scrollWidth) > width + 1;
  };
  return document.scrollingElement.scrollWidth <= width ? [] : [
    ...document.querySelectorAll("body *")
  ].filter(shows).map((one) => `${one.tagName} ${one.className}: ${one.textContent.slice(0, 60)}`);
}"""


def text_of(page: Page) -> str:
    """Return the text of a page, also what is folded away."""
    return str(page.evaluate(_TEXT))


def unfold(page: Page, *, one_of_each: bool = False) -> None:
    """Open all that is folded, and go along the page until all plots that show are drawn.

    With `one_of_each`, of folds that follow each other only the first is opened.
    """
    page.evaluate(_UNFOLD, "details:not(details ~ details)" if one_of_each else "details")


def too_wide(page: Page) -> list[str]:
    """Return what makes the whole page scroll sideways."""
    return [str(one) for one in page.evaluate(_TOO_WIDE)]


def barriers(page: Page) -> list[str]:
    """Return what axe-core finds serious or worse, with the first places."""
    # What is drawn is a picture to those who do not see it: its label and its table are for them.
    drawn = {"exclude": [[".plot .svg-container"]]}
    found: dict[str, Any] = Axe().run(page, drawn, {"resultTypes": ["violations"]}).response
    return [
        f"{one['id']}: {one['help']}: {[node['html'][:200] for node in one['nodes'][:3]]}"
        for one in found["violations"]
        if one["impact"] in GRAVE
    ]
