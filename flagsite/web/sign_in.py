"""The sign-in of the admin site, with limits on failed sign-ins for each person and each address.

A refused sign-in costs no password hash. One password is checked at a time in each process, by a patient thread
(`flagsite.core.password_hasher`). So neither guessing nor many sign-ins at once slow down the API.
"""

from __future__ import annotations

import hashlib
import math
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import limits
import structlog
from django.contrib import admin
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from limits.storage import MemoryStorage
from limits.strategies import SlidingWindowCounterRateLimiter
from unfold.forms import AuthenticationForm

from flagsite.core.client_address import client_address, network_of
from flagsite.web.api_rate_limit import Result, ask_shared_counters, seconds_until_reset

log = structlog.get_logger(__name__)
LIMITS = {
    "person and address": limits.parse("5/15 minutes"),
    "address": limits.parse("30/15 minutes"),
    "person": limits.parse("100/15 minutes"),
}
"""The failed sign-ins that are allowed. The limit for a person alone is high: others must not lock out the person."""
password_check = threading.Lock()
own_counters = SlidingWindowCounterRateLimiter(MemoryStorage())


class LimitedSignInForm(AuthenticationForm):
    """The theme's form with limits. `wait_seconds` is above 0 if the form was refused for them."""

    wait_seconds = 0

    def clean(self) -> Any:
        """Check name and password. Raises ValidationError with the way out."""
        failed = FailedSignIns(self._person(), client_address(self.request))
        self.wait_seconds = failed.seconds_to_wait()
        if self.wait_seconds:
            log.warning("sign_in_refused", address=failed.address, seconds=self.wait_seconds)
            raise ValidationError(
                f"There were too many failed attempts to sign in. Try again in {_in_words(self.wait_seconds)}. "
                "If you do not remember your password, an admin can set a new one.",
                code="too_many",
            )
        if not password_check.acquire(blocking=False):
            self.wait_seconds = 1
            raise ValidationError("Somebody else is signing in at this moment. Send the form again.", code="busy")
        try:
            cleaned = super().clean()
        except ValidationError:
            failed.add()
            log.warning("sign_in_failed", address=failed.address)
            raise
        finally:
            password_check.release()
        return cleaned

    def _person(self) -> str:
        """Return the name as Django looks for it, so that no other spelling of a name has counters of its own."""
        typed = str(self.data.get("username", ""))
        return str(self.cleaned_data.get("username", typed))


class FailedSignIns:
    """The counters of failed sign-ins of one person from one address.

    Args:
        person: the name in the form. Flagsite also counts names that do not exist, so nobody learns which names exist.
        address: the network address of the client. All addresses of an IPv6 network of one client count together.
    """

    def __init__(self, person: str, address: str) -> None:
        name = hashlib.sha256(person.casefold().encode(errors="replace")).hexdigest()
        self.address = address
        network = network_of(address)
        self._keys = {"person and address": (name, network), "address": (network,), "person": (name,)}

    def seconds_to_wait(self) -> int:
        """Return 0 if no limit is reached, else the whole seconds until the person may try again."""
        return max(self._seconds_to_wait(counter) for counter in self._keys)

    def _seconds_to_wait(self, counter: str) -> int:
        limit, key = LIMITS[counter], ("sign-in", counter, *self._keys[counter])
        return _counted(lambda limiter: 0 if limiter.test(limit, *key) else seconds_until_reset(limiter, limit, *key))

    def add(self) -> None:
        """Count one more failed sign-in."""
        for counter, key in self._keys.items():
            _counted(partial(_hit, counter, key))


def _hit(counter: str, key: tuple[str, ...], limiter: SlidingWindowCounterRateLimiter) -> bool:
    return limiter.hit(LIMITS[counter], "sign-in", counter, *key)


def _counted(ask: Callable[[SlidingWindowCounterRateLimiter], Result]) -> Result:
    """Ask the counters that all processes share; while the Redis-protocol server is away, those of this process."""
    return ask_shared_counters(ask, otherwise=lambda: ask(own_counters))


def sign_in(request: HttpRequest) -> HttpResponse:
    """The page on which people sign in: the admin site's view, with 429 if the form was refused for its limits."""
    response = admin.site.login(request)
    form = getattr(response, "context_data", None) and response.context_data.get("form")  # type: ignore[attr-defined]
    if form is not None and form.wait_seconds:
        response.status_code = 429
        response["Retry-After"] = str(form.wait_seconds)
    return response


def _in_words(seconds: int) -> str:
    minutes = math.ceil(seconds / 60)
    return "a minute" if minutes == 1 else f"{minutes} minutes"
