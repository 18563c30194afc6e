"""A worker that is killed after the receiver has the message, and before the delivery says so."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connections
from django.db.models.functions import Now
from standardwebhooks import Webhook

from jobs.engine import rescuer, runner
from jobs.engine.models import Job
from jobs.engine.states import Status
from jobs.notifications.models import DeliveryState, Subscription
from jobs.notifications.subscriptions import send_test
from jobs.tests.notifications.doubles import MailServer, Receiver
from jobs.tests.notifications.sending import QUEUE, email, let_time_pass, run_all, stored, subscribe
from orgs.access.caller import Caller

pytestmark = pytest.mark.django_db(transaction=True)


@contextmanager
def killed_worker() -> Iterator[Callable[[Any], None]]:
    """Run the next job in a child process, which the yielded function kills. The child ends without the function too.

    The block runs in the parent, after the child has begun.
    """
    ready, start = os.pipe()
    connections.close_all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks of processes with threads
        child = os.fork()
    if child == 0:
        os.read(ready, 1)
        try:
            runner.run_next(QUEUE)
        finally:
            os._exit(0)

    def kill(_: Any) -> None:
        os.kill(child, signal.SIGKILL)

    yield kill
    os.write(start, b"x")
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), "the child was killed"
    Job.objects.filter(status=Status.IN_PROGRESS).update(lease_expires_at=Now())
    assert rescuer.rescue_expired() == 1
    let_time_pass()
    run_all()


def test_a_webhook_comes_at_most_twice_with_the_same_id(operator: Caller, receiver: Receiver) -> None:
    number, secret = subscribe(operator, "webhook", f"{receiver.url}/hook")
    delivery = send_test(operator, Subscription.objects.get(pk=number))
    with killed_worker() as kill:
        receiver.on_request = lambda request: kill(request) if len(receiver.requests) == 1 else None
    assert stored(delivery).state == DeliveryState.SENT
    assert stored(delivery).attempts == 2
    assert [request.headers["webhook-id"] for request in receiver.requests] == [delivery.message_id] * 2
    for request in receiver.requests:
        Webhook(secret).verify(request.body, request.headers)
    run_all()
    assert len(receiver.requests) == 2


def test_an_e_mail_comes_at_most_twice_with_the_same_message_id(mail: MailServer) -> None:
    delivery = email()
    with killed_worker() as kill:
        mail.on_message = lambda count: kill(count) if count == 1 else None
    assert stored(delivery).state == DeliveryState.SENT
    assert [message["Message-ID"] for message in mail.messages] == [f"<{delivery.message_id}@example.com>"] * 2
