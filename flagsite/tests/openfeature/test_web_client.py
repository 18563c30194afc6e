"""npm's `@openfeature/ofrep-web-provider` on `@openfeature/web-sdk`, in a page of another origin, in Chromium."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Response

from flagsite.tests.openfeature import javascript_clients
from flagsite.tests.openfeature.pages import page_served
from flagsite.tests.openfeature.served import NORTH, NORTH_STORE, SOUTH, SOUTH_STORE, Served

pytestmark = pytest.mark.slow
SILENCE = 1.5
"""For how long nothing must happen; what does happen, happens within a third of it."""


@pytest.fixture(scope="module")
def shop(flagsite: Served, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The customer's own web site, on another origin."""
    folder = tmp_path_factory.mktemp("shop")
    javascript_clients.bundled(javascript_clients.SOURCES / "page.mjs", folder / "page.js")
    with page_served(folder, flagsite.page_port):
        yield


class Visit:
    """A page that is open, and the answers of Flagsite that it got."""

    def __init__(self, page: Page, flagsite: Served) -> None:
        self.page = page
        self.flagsite = flagsite
        self.bulk: list[int] = []
        """The statuses of bulk evaluations, in order."""
        page.on("response", self._note)

    def start(self, *, key: str = "", **context: Any) -> str:
        """Set up the client; the provider's status."""
        given = {"url": self.flagsite.url, "key": key or self.flagsite.key, "context": context}
        return str(self.page.evaluate("given => flagsite.start(given)", given))

    def start_and_listen(self, **context: Any) -> None:
        """Set up the client and wait until it has evaluated again, as it is told to when it begins to listen."""
        assert self.start(**context) == "READY"
        self.wait_for(lambda: self.bulk == [200, 304])

    def details(self, flag: str) -> dict[str, Any]:
        return dict(self.page.evaluate("flag => flagsite.details(flag, false)", flag))

    def value(self, flag: str) -> bool:
        return bool(self.details(flag)["value"])

    def changed(self) -> list[str]:
        """The flags that ConfigurationChanged named so far."""
        return list(self.page.evaluate("flagsite.seen.changed"))

    def errors(self) -> list[str]:
        return list(self.page.evaluate("flagsite.seen.errors"))

    def wait_for(self, condition: Any, within: float = 5.0) -> float:
        """Wait, with the page alive, until it holds; returns after how many seconds."""
        began = time.monotonic()
        while not condition():
            assert time.monotonic() - began < within, (self.bulk, self.changed(), self.errors())
            self.page.wait_for_timeout(20)
        return time.monotonic() - began

    def _note(self, response: Response) -> None:
        if "/evaluate/flags" in response.url and response.request.method == "POST":
            self.bulk.append(response.status)


@pytest.fixture
def visit(shop: None, chromium: Browser, flagsite: Served) -> Iterator[Visit]:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(flagsite.page_origin)
    yield Visit(page, flagsite)
    context.close()


def test_all_flags_are_there_from_the_start(flagsite: Served, visit: Visit) -> None:
    flagsite.define("web.initial")
    flagsite.switch_and_wait(NORTH, "web.initial", on=True)

    assert visit.start(targetingKey="ada", organizationId=NORTH_STORE) == "READY"

    details = visit.details("web.initial")
    assert (details["value"], details["variant"], details["reason"]) == (True, "on", "TARGETING_MATCH")
    sent = flagsite.evaluated("web.initial", organizationId=NORTH_STORE)
    assert details["flagMetadata"] == sent["metadata"]
    assert visit.details("web.nobody-made-this")["errorCode"] == "FLAG_NOT_FOUND"


def test_a_change_of_a_parent_reaches_the_page_by_itself(flagsite: Served, visit: Visit) -> None:
    flagsite.define("web.live")
    visit.start_and_listen(targetingKey="ada", organizationId=NORTH_STORE)
    assert visit.value("web.live") is False

    flagsite.switch(NORTH, "web.live", on=True)
    seconds = visit.wait_for(lambda: visit.value("web.live"))

    assert visit.changed() == ["web.live"]
    assert visit.bulk == [200, 304, 200]  # told, not polled
    print(f"seen in the page {seconds:.2f} s after the answer to the change")


def test_another_subtrees_change_fires_nothing(flagsite: Served, visit: Visit) -> None:
    flagsite.define("web.elsewhere")
    visit.start_and_listen(targetingKey="ada", organizationId=NORTH_STORE)

    flagsite.switch_and_wait(SOUTH, "web.elsewhere", on=True)
    visit.page.wait_for_timeout(SILENCE * 1000)

    assert visit.changed() == []
    assert visit.bulk == [200, 304]


def test_a_change_that_makes_no_difference_here_is_answered_not_modified(flagsite: Served, visit: Visit) -> None:
    flagsite.define("web.same")
    visit.start_and_listen(targetingKey="ada", organizationId=NORTH_STORE)

    flagsite.sql("UPDATE flags_flag SET owner = 'ada' WHERE key = 'web.same'")

    visit.wait_for(lambda: len(visit.bulk) == 3)
    assert visit.bulk == [200, 304, 304]
    assert visit.changed() == []


def test_another_organization_in_the_context_is_evaluated_anew(flagsite: Served, visit: Visit) -> None:
    flagsite.define("web.move")
    flagsite.switch_and_wait(SOUTH, "web.move", on=True)
    visit.start_and_listen(targetingKey="ada", organizationId=NORTH_STORE)
    assert visit.value("web.move") is False

    visit.page.evaluate("context => flagsite.move(context)", {"targetingKey": "ada", "organizationId": SOUTH_STORE})

    assert visit.value("web.move") is True  # the same user: the client sends its ETag along, and must not get 304
    flagsite.switch(SOUTH, "web.move", on=False)
    visit.wait_for(lambda: not visit.value("web.move"))  # it listens for the other organization now


def test_a_key_of_a_subtree_needs_no_organization_in_the_context(flagsite: Served, visit: Visit) -> None:
    flagsite.define("web.own")
    flagsite.switch_and_wait(NORTH, "web.own", on=True)

    assert visit.start(key=flagsite.north_key, targetingKey="ada") == "READY"
    assert visit.value("web.own") is True


def test_a_wrong_key_is_fatal(visit: Visit) -> None:
    assert visit.start(key="aaaaaaaa.wrong", targetingKey="ada") == "FATAL"
    assert visit.bulk == [401]


def test_a_key_that_is_revoked_stops_the_page_from_listening(flagsite: Served, visit: Visit) -> None:
    key = flagsite.new_key("page", organization=NORTH)
    assert visit.start(key=key, targetingKey="ada") == "READY"
    visit.wait_for(lambda: visit.bulk == [200, 304])

    flagsite.revoke(key)

    visit.wait_for(lambda: 401 in visit.bulk or visit.page.evaluate("flagsite.seen.stale") > 0)


def test_a_page_of_an_origin_that_is_not_allowed_gets_nothing(flagsite: Served, shop: None, chromium: Browser) -> None:
    context = chromium.new_context()
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{flagsite.page_port}")
    stranger = Visit(page, flagsite)

    assert stranger.start(targetingKey="ada") == "ERROR"
    assert stranger.bulk == []
    context.close()
