"""A whole Flagsite in real processes, and people who look at its admin site in Chromium."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from http.client import NOT_FOUND
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, Response

from flagsite.tests.crash.installation import Installation, kill_session

PASSWORD = "a long enough password"
VAPID_KEYS = "mailto:ops@example.com,9Bk1WSYEPMJEBqA8oB1Pu8YV1gtGqw1IbIyMT8i9Z2E"
PEOPLE = """
from django.contrib.auth.models import Group, User
for name, group in (("ada", "admin"), ("olga", "operator"), ("vic", "viewer"), ("bea", "admin")):
    user, _ = User.objects.get_or_create(username=name)
    user.set_password("%s")
    user.save()
    user.groups.set([Group.objects.get(name=group)])
"""
"""ada administers, olga operates, vic looks; bea is an administrator whom a test may bind to an organization."""

SignIn = Callable[..., Page]


@pytest.fixture(scope="session")
def _served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installation]:
    installation = Installation(tmp_path_factory.mktemp("browsed"))
    installation.environment |= {"VAPID_KEYS": VAPID_KEYS, "OUTGOING_ALLOWED": "127.0.0.1"}
    try:
        installation.start()
        installation.manage("shell", "--no-imports", "-c", PEOPLE % PASSWORD)
        yield installation
    finally:
        installation.stop()


@pytest.fixture
def site(_served: Installation) -> Iterator[Installation]:
    """Servers and web that run; workers that the test starts are killed after it."""
    _served.sql("TRUNCATE jobs_subscription, jobs_delivery")  # of other tests, which would have jobs of their own
    yield _served
    for process in _served.processes:
        if process is not _served.web:
            kill_session(process)
    _served.processes[:] = [process for process in _served.processes if process is _served.web]


NO_FAULTS = ("Failed to load resource", "htmx:sendAbort", "htmx:afterRequest")
"""What a browser says of a part of a page that is refused or not waited for any more."""


def note_errors(page: Page, errors: list[str]) -> None:
    """Add to `errors` what goes wrong while people use the page: in scripts, in the console, and in what it loads.

    The page itself may be an error page, which a test asks for. A part of a page is refused when the session ends, and
    is not waited for any more when a person goes on to another page.
    """

    def of_console(line: ConsoleMessage) -> None:
        if line.type == "error" and not line.text.startswith(NO_FAULTS):
            errors.append(f"{line.text} {line.location} {page.url}")

    def of_answer(answer: Response) -> None:
        if answer.status == NOT_FOUND and not answer.request.is_navigation_request():
            errors.append(f"{answer.status} {answer.url} {page.url}")

    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", of_console)
    page.on("response", of_answer)


@pytest.fixture
def sign_in(chromium: Browser, site: Installation) -> Iterator[SignIn]:
    """Open the admin site as one of the people; what goes wrong in the browser (`note_errors`) fails the test.

    Options: dark, phone (390 by 844 instead of 1440 by 900).
    """
    contexts = []
    errors: list[str] = []

    def sign_in(name: str, *, dark: bool = False, phone: bool = False) -> Page:
        context = chromium.new_context(
            base_url=f"http://127.0.0.1:{site.port}",
            color_scheme="dark" if dark else "light",
            viewport={"width": 390, "height": 844} if phone else {"width": 1440, "height": 900},
            reduced_motion="reduce",
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        note_errors(page, errors)
        page.goto("/admin/login/?next=/admin/")
        page.fill("input[name=username]", name)
        page.fill("input[name=password]", PASSWORD)
        page.click("[type=submit]")
        page.wait_for_url(lambda url: "login" not in url)  # the address of the login ends with /admin/ too
        return page

    yield sign_in
    for context in contexts:
        context.close()
    assert errors == []


@pytest.fixture
def picture() -> Callable[..., None]:
    """Keep a screenshot in FLAGSITE_PICTURES, if that is set: for looking at, and for docs/.

    Of the whole page, or of what is seen without scrolling.
    """

    def picture(page: Page, name: str, *, whole: bool = True) -> None:
        if folder := os.environ.get("FLAGSITE_PICTURES"):
            page.screenshot(path=Path(folder) / f"{name}.png", full_page=whole)

    return picture
