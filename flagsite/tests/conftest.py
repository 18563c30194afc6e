"""The browser in which tests look at pages: one for each file, as while it runs no other loop can run in its thread."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, sync_playwright

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run", "--disable-sync",
         "--disable-component-update", "--disable-quic"]  # fmt: skip

BROWSERS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium without a window; skips where there is none, unless FLAGSITE_REQUIRE_BROWSER is set."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        if os.environ.get("FLAGSITE_REQUIRE_BROWSER"):
            raise RuntimeError("These tests need Chromium; apt-get install chromium.")
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright, pytest.MonkeyPatch.context() as patch:
        # Playwright's loop runs in this thread as long as the browser is open; Django would refuse other tests for it.
        patch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
