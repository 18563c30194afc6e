"""Fixtures of the tests of notifications: the servers that receive messages, and a caller."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from jobs.notifications import events
from jobs.tests.notifications.doubles import MailServer, Receiver, http_receiver, mail_server
from orgs.access.caller import Caller
from orgs.access.models import Role


@pytest.fixture
def mail() -> Iterator[MailServer]:
    """An SMTP server, to which Flagsite sends its e-mail."""
    with mail_server() as server:
        yield server


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """An HTTP server, to which Flagsite may send webhooks."""
    with http_receiver() as server:
        yield server


@pytest.fixture
def operator() -> Caller:
    """A caller with the role operator and without a scope."""
    return Caller("user:olga", Role.OPERATOR)


@pytest.fixture(autouse=True)
def subscriptions_are_read(nobody_is_told_of_events: None) -> None:
    """Let each test read the subscriptions, as a process does that knows nothing of them."""
    events.forget()
