"""A person lets this browser tell of events. The push service is a double; all else is real.

The real script asks for the permission, registers the real service worker, and hands the subscription to the server. A
real worker encrypts the message. The double decrypts it as a push service and a browser do, and Chromium hands it to
the service worker.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any

import http_ece
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from playwright.sync_api import Page, expect

from flagsite.tests.browser.conftest import SignIn
from flagsite.tests.browser.test_every_page import fits, serious
from flagsite.tests.crash.installation import Installation, eventually
from jobs.tests.notifications.doubles import Receiver, http_receiver

pytestmark = pytest.mark.slow
PAGE = "/admin/my-notifications/"
AUTH = b"sixteen bytes ok"
DOUBLE = """(() => {
  const stored = () => JSON.parse(localStorage.getItem("double") ?? "null");
  const read = (given) => given && {
    endpoint: given.endpoint,
    options: { applicationServerKey: Uint8Array.from(given.key).buffer },
    toJSON: () => ({ endpoint: given.endpoint, expirationTime: null, keys: given.keys }),
    unsubscribe: async () => { localStorage.removeItem("double"); return true; },
  };
  PushManager.prototype.getSubscription = async () => read(stored());
  PushManager.prototype.subscribe = async (options) => {
    if (!options.userVisibleOnly) throw new Error("userVisibleOnly");
    const key = Array.from(options.applicationServerKey);
    localStorage.setItem("double", JSON.stringify({ endpoint: ENDPOINT, key, keys: KEYS }));
    return read(stored());
  };
})();"""


def base64url(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


class PushService:
    """The double of the push service: the messages that it gets, and their keys."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self._key = ec.generate_private_key(ec.SECP256R1())

    def plant(self, page: Page) -> None:
        """Let the browser subscribe at this double."""
        point = self._key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        keys = {"p256dh": base64url(point), "auth": base64url(AUTH)}
        script = DOUBLE.replace("ENDPOINT", json.dumps(f"{self.receiver.url}/of-this-browser"))
        page.context.add_init_script(script.replace("KEYS", json.dumps(keys)))

    def message(self) -> dict[str, Any]:
        """Wait for a message, and decrypt it as a browser does."""
        eventually(lambda: bool(self.receiver.requests), within=30)
        body = self.receiver.requests.pop(0).body
        read: dict[str, Any] = json.loads(
            http_ece.decrypt(body, private_key=self._key, auth_secret=AUTH, version="aes128gcm")
        )
        return read


@pytest.fixture
def service(site: Installation) -> Iterator[PushService]:
    site.sql("TRUNCATE jobs_subscription, jobs_delivery")
    with http_receiver() as receiver:
        yield PushService(receiver)
    site.sql("TRUNCATE jobs_subscription, jobs_delivery")


def deliver(page: Page, message: dict[str, Any]) -> None:
    """Hand a message to the service worker of the page, as Chromium does when the push service has one."""
    session = page.context.new_cdp_session(page)
    found: list[str] = []
    session.on(
        "ServiceWorker.workerRegistrationUpdated",
        lambda event: found.extend(each["registrationId"] for each in event["registrations"] if not each["isDeleted"]),
    )
    session.send("ServiceWorker.enable")
    eventually(lambda: bool(page.evaluate("1")) and bool(found), within=10)
    origin = page.evaluate("location.origin")
    session.send(
        "ServiceWorker.deliverPushMessage",
        {"origin": origin, "registrationId": found[-1], "data": json.dumps(message)},
    )


SHOWN = """async () => {
  const { worker } = document.getElementById("this-browser").dataset;
  const registration = await navigator.serviceWorker.getRegistration(worker);
  return (await registration.getNotifications()).map(({ title, body, tag, data }) => ({ title, body, tag, data }));
}"""


def test_a_person_is_told_in_this_browser_until_the_person_stops_it(
    site: Installation, sign_in: SignIn, service: PushService, picture: Callable[..., None]
) -> None:
    site.start_worker()
    page = sign_in("vic")
    page.context.grant_permissions(["notifications"], origin=f"http://127.0.0.1:{site.port}")
    service.plant(page)
    page.get_by_role("link", name="My notifications").first.click()
    panel = page.locator("#this-browser")
    expect(panel).to_have_attribute("data-now", "off")
    picture(page, "push-off")
    page.get_by_label("queue.paused").check()
    page.get_by_role("button", name="Tell me in this browser").click()
    expect(panel).to_have_attribute("data-now", "on")
    assert site.sql("SELECT channel, events, name FROM jobs_subscription") == [
        ("push", ["batch.ended", "job.failed", "queue.paused", "worker.gone"], "Browser of vic")
    ]
    picture(page, "push-on")
    assert fits(page)
    assert serious(page) == []
    page.get_by_role("button", name="Send me a test").click()
    expect(page.get_by_text("A test is on its way")).to_be_visible()
    message = service.message()
    assert message["title"] == "A test of Flagsite"
    deliver(page, message)
    eventually(lambda: bool(page.evaluate(SHOWN)), within=10)
    (shown,) = page.evaluate(SHOWN)
    assert (shown["title"], shown["body"], shown["tag"]) == (message["title"], message["body"], message["id"])
    assert shown["data"]["url"] == message["url"]
    page.get_by_label("queue.paused").uncheck()
    page.get_by_role("button", name="Save the events").click()
    expect(page.get_by_text("of the events that you have chosen")).to_be_visible()
    assert site.sql("SELECT events FROM jobs_subscription") == [(["batch.ended", "job.failed", "worker.gone"],)]
    panel.get_by_role("button", name="Stop").click()
    expect(panel).to_have_attribute("data-now", "off")
    assert site.sql("SELECT count(*) FROM jobs_subscription") == [(0,)]
    assert page.evaluate("localStorage.getItem('double')") is None, "the browser has ended its subscription too"


def test_a_subscription_that_the_server_lost_is_off_and_can_be_made_again(
    site: Installation, sign_in: SignIn, service: PushService
) -> None:
    page = sign_in("vic", dark=True)
    page.context.grant_permissions(["notifications"], origin=f"http://127.0.0.1:{site.port}")
    service.plant(page)
    page.goto(PAGE)
    page.get_by_role("button", name="Tell me in this browser").click()
    expect(page.locator("#this-browser")).to_have_attribute("data-now", "on")
    site.sql("DELETE FROM jobs_subscription")  # as after the answer 410 of the push service
    page.reload()
    expect(page.locator("#this-browser")).to_have_attribute("data-now", "off")
    page.get_by_role("button", name="Tell me in this browser").click()
    expect(page.locator("#this-browser")).to_have_attribute("data-now", "on")


@pytest.mark.parametrize(("state", "script"), [
    ("unsupported", "delete window.PushManager;"),
    ("blocked", "Object.defineProperty(Notification, 'permission', { get: () => 'denied' });"),
])  # fmt: skip
def test_a_browser_that_cannot_or_must_not_tell_says_why(
    sign_in: SignIn, picture: Callable[..., None], state: str, script: str
) -> None:
    page = sign_in("vic", phone=True)
    page.context.add_init_script(script)
    page.goto(PAGE)
    panel = page.locator("#this-browser")
    expect(panel).to_have_attribute("data-now", state)
    expect(panel.get_by_role("status")).to_have_count(1)
    expect(panel.get_by_role("button")).to_have_count(0)
    picture(page, f"push-{state}")


def test_a_push_service_that_refuses_is_told_and_nothing_is_stored(
    site: Installation, sign_in: SignIn, service: PushService
) -> None:
    page = sign_in("vic")
    page.context.grant_permissions(["notifications"], origin=f"http://127.0.0.1:{site.port}")
    page.context.add_init_script(
        "PushManager.prototype.subscribe = async () => { throw new Error('no push service'); };"
        "PushManager.prototype.getSubscription = async () => null;"
    )
    page.goto(PAGE)
    page.get_by_role("button", name="Tell me in this browser").click()
    expect(page.get_by_role("alert")).to_have_text("The browser refuses: no push service")
    assert site.sql("SELECT count(*) FROM jobs_subscription") == [(0,)]
