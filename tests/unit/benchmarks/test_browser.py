"""Why there is no browser is told, so that tests are skipped with a reason."""

from __future__ import annotations

import pytest

from benchmarks import browser


def test_what_is_missing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser.shutil, "which", lambda name: None)
    with (
        pytest.raises(browser.NoBrowser, match="apt-get install chromium-headless-shell"),
        browser.browser(),
    ):
        pass
    monkeypatch.setattr(browser.shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(browser, "find_spec", lambda name: None)
    with pytest.raises(browser.NoBrowser, match="pip install playwright"), browser.browser():
        pass
