"""Jobs that do nothing in procrastinate, which keeps them in PostgreSQL. See `other_queue.py`."""

from __future__ import annotations

import sys

import procrastinate
from other_queue import URL, OtherQueue, do_nothing, do_something_slow, main

IS_WORKER = "work" in sys.argv
Connector = procrastinate.PsycopgConnector if IS_WORKER else procrastinate.SyncPsycopgConnector
app = procrastinate.App(connector=Connector(conninfo=URL))
nothing = app.task(queue="bench", name="nothing")(do_nothing)
slow = app.task(queue="bench", name="slow", retry=3)(do_something_slow)


class Procrastinate(OtherQueue):
    """Each slot is a process, because its sync jobs run in threads."""

    def prepare(self) -> None:
        app.open()
        app.schema_manager.apply_schema()

    def create(self) -> None:
        nothing.defer()

    def create_slow(self) -> None:
        slow.defer()

    def work(self, slots: int) -> None:
        app.run_worker(queues=["bench"], concurrency=slots, delete_jobs="never")


if __name__ == "__main__":
    main(Procrastinate())
