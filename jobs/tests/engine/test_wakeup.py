"""A wake-up is a hint: whoever asks for one never waits for the broker, and its loss harms nobody."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from celery import Celery
from django.db import transaction
from pytest_django import DjangoCaptureOnCommitCallbacks

from conftest import succeeds_in_child
from jobs.engine import wakeup, wakeup_sender
from jobs.engine.models import Job
from jobs.engine.wakeup_sender import WakeUp, WakeUpSender
from jobs.tests.engine_steps import waiting


class FrozenBroker:
    """Accepts connections and never answers, like a stopped process."""

    def __init__(self) -> None:
        self.somebody_came = threading.Event()
        self._server = socket.create_server(("127.0.0.1", 0))
        self._connections: list[socket.socket] = []
        self.url = f"redis://127.0.0.1:{self._server.getsockname()[1]}/0"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        self._thread.join()
        for connection in self._connections:
            connection.close()

    def _accept(self) -> None:
        while True:
            try:
                self._connections.append(self._server.accept()[0])
            except OSError:
                return
            self.somebody_came.set()


@contextmanager
def broker_at(url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[WakeUpSender]:
    """A sender of its own that knows this broker only."""
    app = Celery("test", broker=url, set_as_current=False)
    app.conf.broker_transport_options = {"socket_timeout": 0.5, "socket_connect_timeout": 0.5}
    app.conf.broker_connection_timeout = 0.5
    sender = WakeUpSender()
    monkeypatch.setattr(wakeup_sender, "current_app", app)
    monkeypatch.setattr(wakeup, "sender", sender)
    yield sender
    app.close()


def wait_until_empty(sender: WakeUpSender) -> None:
    deadline = time.monotonic() + 10
    while sender.waiting:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.django_db(transaction=True)
def test_a_frozen_broker_delays_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    broker = FrozenBroker()
    try:
        with broker_at(broker.url, monkeypatch) as sender:
            sender.put(WakeUp("default"))
            assert broker.somebody_came.wait(10)
            began = time.monotonic()
            for _ in range(100):
                wakeup.wake("default")
            assert time.monotonic() - began < 10  # not 100 time-outs
            wait_until_empty(sender)  # what one sending could not deliver, the others need not try
    finally:
        broker.close()


@pytest.mark.django_db(transaction=True)
def test_a_broker_that_is_away_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    with broker_at("redis://127.0.0.1:1/0", monkeypatch) as sender:
        job = waiting()
        wait_until_empty(sender)
        assert Job.objects.due().get() == job
        assert sender.is_alive()


def test_a_wake_up_names_the_job_and_its_kind_for_who_watches_the_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    with broker_at("memory://", monkeypatch), wakeup_sender.current_app.connection() as connection:
        wakeup_sender.send(WakeUp("default", 17, "propagation"))
        queue = connection.SimpleQueue("default")
        message = queue.get(timeout=5)
        queue.close()
    assert message.headers | {"jobId": 17, "jobKind": "propagation"} == message.headers
    assert message.headers["argsrepr"] == "('default', job 17, propagation)"


@pytest.mark.django_db
def test_nothing_is_sent_before_the_commit(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    sent: list[WakeUp] = []
    monkeypatch.setattr(wakeup.sender, "put", sent.append)
    with django_capture_on_commit_callbacks(execute=True):
        job = waiting()
        assert sent == []
    assert sent == [WakeUp("default", job.pk, job.kind)]


@pytest.mark.django_db
def test_nothing_is_sent_for_what_was_rolled_back(
    monkeypatch: pytest.MonkeyPatch, django_capture_on_commit_callbacks: DjangoCaptureOnCommitCallbacks
) -> None:
    sent: list[WakeUp] = []
    monkeypatch.setattr(wakeup.sender, "put", sent.append)
    with pytest.raises(ZeroDivisionError), django_capture_on_commit_callbacks(execute=True), transaction.atomic():
        waiting()
        raise ZeroDivisionError
    assert sent == []


def test_a_forked_process_sends_with_a_thread_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[str] = []
    done = threading.Event()

    def send(wake_up: WakeUp) -> None:
        sent.append(f"{threading.current_thread().name}: {wake_up.queue}")
        done.set()

    monkeypatch.setattr(wakeup_sender, "send", send)
    sender = WakeUpSender()
    sender.put(WakeUp("parents"))
    assert done.wait(10)

    def send_in_child() -> bool:
        done.clear()
        sender.put(WakeUp("childs"))
        return done.wait(10) and sent == ["wake-up: parents", "wake-up: childs"]

    assert succeeds_in_child(send_in_child)
    assert sent == ["wake-up: parents"]


def test_a_forked_process_leaves_to_its_parent_what_the_parent_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wakeup_sender, "send", lambda wake_up: None)
    sender = WakeUpSender()
    sender.waiting.append(WakeUp("parents"))
    assert succeeds_in_child(lambda: not sender.waiting)
    assert list(sender.waiting) == [WakeUp("parents")]


def test_the_message_names_the_job_as_a_hint_and_has_only_the_queue_as_an_argument(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app = Celery("test", broker="memory://", set_as_current=False)
    monkeypatch.setattr(wakeup_sender, "current_app", app)
    wakeup_sender.send(WakeUp("report", 17, "recount"))
    wakeup_sender.send(WakeUp("report"))
    with app.connection_for_read() as broker, broker.channel() as channel:
        queue = app.amqp.queues["report"](channel)
        first, second = queue.get(no_ack=True), queue.get(no_ack=True)
    assert first is not None
    assert second is not None
    headers: dict[str, Any] = dict(first.headers)
    assert (headers["jobId"], headers["jobKind"]) == (17, "recount")
    assert headers["argsrepr"] == "('report', job 17, recount)"
    assert first.payload[0] == ["report"]
    assert "jobId" not in second.headers
    app.close()
