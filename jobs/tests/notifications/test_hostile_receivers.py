"""Receivers that answer in ways that could hold up a worker, fill its memory, or let a message be sent twice."""

from __future__ import annotations

import contextlib
import gzip
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from flagsite.core import outgoing_http
from flagsite.core.outgoing_http import NoAnswer
from jobs.notifications.models import DeliveryState, Subscription
from jobs.notifications.subscriptions import send_test
from jobs.tests.notifications.doubles import LOOPBACK, MailServer, Receiver
from jobs.tests.notifications.sending import email, let_time_pass, run_all, stored, subscribe
from orgs.access.caller import Caller

OK = b"HTTP/1.1 200 OK\r\n"
Answer = Callable[[socket.socket], None]


@contextmanager
def answering(answer: Answer) -> Iterator[str]:
    """The URL of a server that reads a request and then does what `answer` says, until the client is gone."""
    with socket.create_server((LOOPBACK, 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connected, _ = server.accept()
                with connected:
                    connected.recv(65_536)
                    answer(connected)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://{LOOPBACK}:{server.getsockname()[1]}/hooks/token"
        finally:
            thread.join(10)
            assert not thread.is_alive(), "the client has not closed its connection"


def again_and_again(part: bytes, *, after: bytes = b"") -> Answer:
    """Send `after`, and then the same part for as long as the client listens, a few hundred times a second."""

    def answer(connected: socket.socket) -> None:
        connected.sendall(after)
        pause = threading.Event()
        while not pause.wait(0.002):
            connected.sendall(part)

    return answer


@pytest.fixture(autouse=True)
def short_limit(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.OUTGOING_ALLOWED = ["127.0.0.0/8"]
    monkeypatch.setattr(outgoing_http, "TOTAL_SECONDS", 0.3)


@pytest.mark.parametrize(
    "answer",
    [
        again_and_again(b"H"),
        again_and_again(b"x", after=OK + b"X-Long: "),
        again_and_again(b"HTTP/1.1 100 Continue\r\n\r\n"),
        again_and_again(b"X-Part: 1", after=OK),
    ],
    ids=["status line", "header", "continue", "headers"],
)
def test_a_server_that_never_ends_the_head_of_its_answer_is_left_after_a_while(answer: Answer) -> None:
    with answering(answer) as url, pytest.raises(NoAnswer, match=r"127\.0\.0\.1 did not answer"):
        outgoing_http.post(url, b"{}", {})


def test_the_status_counts_even_if_the_body_never_ends() -> None:
    with answering(again_and_again(b"x", after=OK + b"Content-Length: 100000\r\n\r\n")) as url:
        assert outgoing_http.post(url, b"{}", {}).status == 200


@pytest.mark.parametrize("head", [OK, b"HTTP/1.1 302 Found\r\nLocation: https://example.com/\r\n"], ids=["200", "302"])
def test_a_body_is_neither_unpacked_nor_read_to_its_end(head: bytes) -> None:
    bomb = gzip.compress(bytes(50_000_000))

    def answer(connected: socket.socket) -> None:
        connected.sendall(head + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb)

    with answering(answer) as url:
        answered = outgoing_http.post(url, b"{}", {})
    assert answered.status in (200, 302)
    assert len(answered.body) <= outgoing_http.MAX_ANSWER_BYTES


def test_the_log_does_not_tell_the_path_of_a_url_whose_server_answers_nonsense(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with answering(lambda connected: connected.sendall(OK + b"no header\r\nX: y\r\n\r\n")) as url:
        outgoing_http.post(url, b"{}", {})
    assert "token" not in caplog.text


@pytest.mark.django_db
def test_an_answer_that_no_column_can_hold_does_not_let_a_webhook_be_sent_again(
    operator: Caller, receiver: Receiver
) -> None:
    receiver.answer_body = b"thanks\x00 \xed\xa0\x80"
    number, _ = subscribe(operator, "webhook", f"{receiver.url}/hook")
    delivery = send_test(operator, Subscription.objects.get(pk=number))
    run_all()
    assert let_time_pass() == []
    assert stored(delivery).state == DeliveryState.SENT
    assert stored(delivery).provider_id.startswith("200 thanks\N{REPLACEMENT CHARACTER}")
    assert len(receiver.requests) == 1


@pytest.mark.django_db
@pytest.mark.parametrize(("answer", "state"), [("250 OK \x00", "SENT"), ("550 no \x00", "FAILED")])
def test_an_answer_of_a_mail_server_that_no_column_can_hold_is_kept_without_these_characters(
    mail: MailServer, answer: str, state: str
) -> None:
    mail.answers = [answer]
    delivery = email()
    run_all()
    assert let_time_pass() == []
    found = stored(delivery)
    assert (found.state, found.attempts) == (state, 1)
    assert "\N{REPLACEMENT CHARACTER}" in found.provider_id + found.error
