"""Jobs that do nothing in RQ, which keeps them in Redis. See `other_queue.py`."""

from __future__ import annotations

from other_queue import URL, OtherQueue, do_nothing, do_something_slow, main
from redis import Redis
from rq import Queue, Retry, Worker

connection = Redis.from_url(URL)
queue = Queue("bench", connection=connection)


class Rq(OtherQueue):
    """Its worker forks a process for each job and runs one job at a time, so each slot is a worker."""

    def prepare(self) -> None:
        pass

    def create(self) -> None:
        queue.enqueue(do_nothing)

    def create_slow(self) -> None:
        queue.enqueue(do_something_slow, retry=Retry(max=3))

    def work(self, slots: int) -> None:
        Worker([queue], connection=connection).work(logging_level="ERROR")


if __name__ == "__main__":
    main(Rq())
