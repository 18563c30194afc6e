"""Jobs that do nothing in Celery with its messages in Redis, without a database. See `other_queue.py`.

With LATE=1 in the environment, a message stays until its job has ended, as Celery's documentation advises for jobs that
must not get lost.
"""

from __future__ import annotations

import os

from celery import Celery
from other_queue import URL, OtherQueue, do_nothing, do_something_slow, main

SOCKET, _, NUMBER = URL.removeprefix("unix://").partition("?db=")
app = Celery("bench", broker=f"redis+socket://{SOCKET}?virtual_host={NUMBER}")
app.conf.broker_connection_retry_on_startup = True
app.conf.worker_hijack_root_logger = False
if os.environ.get("LATE"):
    app.conf.update(task_acks_late=True, task_reject_on_worker_lost=True, worker_prefetch_multiplier=1)
nothing = app.task(name="nothing")(do_nothing)
slow = app.task(name="slow")(do_something_slow)


class PlainCelery(OtherQueue):
    """One worker with a child process for each slot."""

    processes_for_slots = False

    def prepare(self) -> None:
        pass

    def create(self) -> None:
        nothing.delay()

    def create_slow(self) -> None:
        slow.delay()

    def work(self, slots: int) -> None:
        app.worker_main(["--quiet", "worker", "--concurrency", str(slots), "--loglevel", "ERROR"])


if __name__ == "__main__":
    main(PlainCelery())
