"""A process sends its e-mail through one connection, as long as the server is content with it."""

from __future__ import annotations

import smtplib
from collections.abc import Iterator

import pytest

from jobs.notifications import kept_connection, smtp
from jobs.notifications.kept_connection import KeptConnection
from jobs.notifications.models import DeliveryState
from jobs.tests.notifications.doubles import MailServer
from jobs.tests.notifications.sending import email, let_time_pass, run_all, stored

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _nothing_kept() -> Iterator[None]:
    smtp.kept.close()
    yield
    smtp.kept.close()


def test_many_messages_need_one_connection(mail: MailServer) -> None:
    deliveries = [email(f"ann{number}@example.com") for number in range(5)]
    run_all()
    assert {stored(delivery).provider_id for delivery in deliveries} == {f"OK queued as {n}" for n in range(1, 6)}
    assert mail.connections == 1


def test_a_connection_carries_a_limited_number_of_messages(mail: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(smtp, "MOST_MESSAGES", 2)
    for number in range(5):
        email(f"ann{number}@example.com")
    run_all()
    assert (len(mail.messages), mail.connections) == (5, 3)


def test_a_refused_message_ends_its_connection(mail: MailServer) -> None:
    mail.answers = ["554 5.7.1 spam"]
    refused, accepted = email("ann@example.com"), email("bob@example.com")
    run_all()
    assert (stored(refused).state, stored(accepted).state) == (DeliveryState.FAILED, DeliveryState.SENT)
    assert mail.connections == 2


def test_a_message_leaves_by_a_new_connection_if_the_server_has_closed_the_kept_one(mail: MailServer) -> None:
    email("ann@example.com")
    run_all()
    mail.close_connections()
    second = email("bob@example.com")
    run_all()
    assert (stored(second).state, stored(second).attempts) == (DeliveryState.SENT, 1)
    assert mail.connections == 2


def test_a_message_leaves_by_a_new_connection_if_the_server_wants_no_more_on_the_kept_one(mail: MailServer) -> None:
    mail.most_of_connection = 1
    first, second = email("ann@example.com"), email("bob@example.com")
    run_all()
    assert {stored(first).state, stored(second).state} == {DeliveryState.SENT}
    assert [stored(first).attempts, stored(second).attempts] == [1, 1]
    assert (len(mail.messages), mail.connections) == (2, 2)


def test_a_server_that_is_lost_in_the_middle_of_a_message_gets_it_no_second_time_at_once(mail: MailServer) -> None:
    email("ann@example.com")
    run_all()
    mail.drop_next = True
    second = email("bob@example.com")
    run_all()
    assert (stored(second).state, stored(second).attempts) == (DeliveryState.PENDING, 1)
    let_time_pass()
    run_all()
    assert (stored(second).state, stored(second).attempts) == (DeliveryState.SENT, 2)


def test_an_idle_connection_is_closed(mail: MailServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept_connection, "IDLE_SECONDS", 0.0)
    email("ann@example.com")
    run_all()
    assert mail.said_goodbye.wait(10)
    email("bob@example.com")
    run_all()
    assert mail.connections == 2


def test_connections_to_different_servers_are_not_mixed_up(mail: MailServer) -> None:
    kept = KeptConnection()
    one, other = (smtplib.SMTP("127.0.0.1", mail.port) for _ in range(2))
    kept.keep("one", one)
    assert kept.take("other") is None
    assert one.sock is None
    kept.keep("one", other)
    assert kept.take("one") is other
    assert kept.take("one") is None
    other.quit()
