"""E-mail to a real SMTP server: accepted, refused for now, refused for good, connection lost."""

from __future__ import annotations

import pytest

from jobs.engine.chains import chain_of
from jobs.engine.models import Job
from jobs.errors import InvalidSubscription
from jobs.notifications.channels.email import checked
from jobs.notifications.models import DeliveryState
from jobs.tests.notifications.doubles import MailServer
from jobs.tests.notifications.sending import email, let_time_pass, run_all, stored

pytestmark = pytest.mark.django_db


def test_a_message_is_sent_and_the_answer_of_the_server_is_kept(mail: MailServer) -> None:
    delivery = email()
    run_all()
    sent = stored(delivery)
    assert (sent.state, sent.attempts) == (DeliveryState.SENT, 1)
    assert sent.provider_id == "OK queued as 1"
    assert sent.sent_at is not None
    assert mail.recipients == ["ann@example.com"]
    message = mail.messages[0]
    assert message["Message-ID"] == f"<{sent.message_id}@example.com>"
    assert message["From"] == "flags@example.com"
    assert str(message.get_payload()).strip() == "All is well."


def test_a_4xx_is_tried_again_with_the_same_id(mail: MailServer) -> None:
    mail.answers = ["451 4.3.0 try later", "452 4.2.2 full"]
    delivery = email()
    run_all()
    waiting = stored(delivery)
    assert waiting.state == DeliveryState.PENDING
    assert waiting.error == "The mail server answered 451 4.3.0 try later"
    for _ in range(2):
        let_time_pass()
        run_all()
    sent = stored(delivery)
    assert (sent.state, sent.attempts, sent.error) == (DeliveryState.SENT, 3, "")
    assert [message["Message-ID"] for message in mail.messages] == [f"<{sent.message_id}@example.com>"]


def test_a_5xx_is_not_tried_again(mail: MailServer) -> None:
    mail.answers = ["554 5.7.1 spam"]
    delivery = email()
    run_all()
    failed = stored(delivery)
    assert (failed.state, failed.attempts) == (DeliveryState.FAILED, 1)
    assert failed.error == "The mail server answered 554 5.7.1 spam"
    assert let_time_pass() == []


@pytest.mark.parametrize(
    ("answer", "status"), [("450 4.2.1 busy", DeliveryState.PENDING), ("550 5.1.1 unknown", DeliveryState.FAILED)]
)
def test_each_recipient_is_a_delivery_of_its_own(mail: MailServer, answer: str, status: str) -> None:
    mail.refused_recipients = {"bob@example.com": answer}
    good, bad = email("ann@example.com"), email("bob@example.com")
    run_all()
    assert stored(good).state == DeliveryState.SENT
    assert stored(bad).state == status


def test_a_connection_that_ends_in_the_middle_of_a_message_is_tried_again(mail: MailServer) -> None:
    mail.drop_next = True
    delivery = email()
    run_all()
    assert stored(delivery).state == DeliveryState.PENDING
    assert "SMTPServerDisconnected" in stored(delivery).error
    let_time_pass()
    run_all()
    assert stored(delivery).state == DeliveryState.SENT
    assert len(mail.messages) == 1


def test_a_server_that_refuses_for_ever_ends_the_chain_after_the_retries_of_the_queue(mail: MailServer) -> None:
    mail.answers = ["451 no"] * 20
    delivery = email()
    for _ in range(20):
        run_all()
        let_time_pass()
    chain = chain_of(Job.objects.get(pk=stored(delivery).job_id))
    assert chain.status == "FAILED"
    assert stored(delivery).state == DeliveryState.FAILED
    assert stored(delivery).attempts == chain.latest.max_retries + 1


def test_without_settings_nothing_leaves_and_the_message_is_in_the_outbox() -> None:
    delivery = email()
    run_all()
    kept = stored(delivery)
    assert (kept.state, kept.attempts) == (DeliveryState.OUTBOX, 0)
    assert (kept.subject, kept.text) == ("Hello", "All is well.")
    assert "EMAIL_URL" in kept.error


@pytest.mark.parametrize("control", ["\x0b", "\x0c", "\x1c", "\x1d", "\x1e", "\x01", "\x7f"])
def test_no_address_can_add_a_header_or_a_text_to_a_message(mail: MailServer, control: str) -> None:
    address = f'"ann{control}Bcc:spy@example.com{control}{control}text"@example.com'
    with pytest.raises(InvalidSubscription):
        checked(address)
    delivery = email(address)  # as if it had been stored before the check
    run_all()
    assert stored(delivery).state == DeliveryState.FAILED
    assert mail.messages == []
