"""The command `run_worker`: run a worker, with a broker or without one."""

from __future__ import annotations

import os
import socket
import sys
from typing import Any

from django.core.management.base import CommandParser
from django.db import DatabaseError

from flagsite import tracing
from flagsite.core import actor
from flagsite.core.console.arguments import count
from flagsite.core.console.command import PlainCommand, Refused, WrongUsage, error_message
from flagsite.core.words import counted
from jobs.engine.burst import Burst
from jobs.engine.models import Queue

MAX_CONCURRENCY = 1000


class Command(PlainCommand):
    help = (
        "Run a worker until it is stopped: a Celery worker that serves all queues, also those created later. "
        "With --burst: run what is due, without a broker, and end. The exit status is then 1 if a chain is FAILED."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--queue",
            action="append",
            default=[],
            metavar="QUEUE",
            dest="queues",
            help="serve only this queue; repeat it",
        )
        parser.add_argument("--name", default="", help="the worker's name, such as reports; default: celery")
        parser.add_argument(
            "--concurrency",
            type=count(1, MAX_CONCURRENCY),
            metavar="N",
            help="jobs at once; default: one per processor",
        )
        parser.add_argument("--with-scheduler", action="store_true", help="run beat too, in a child process")
        parser.add_argument("--burst", action="store_true", help="run what is due, without a broker, and end")
        parser.add_argument(
            "--until-done", action="store_true", help="with --burst: wait up to 30 s for retries and jobs due later"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["until_done"] and not options["burst"]:
            raise WrongUsage("--until-done belongs to --burst. Write both.")
        if options["burst"] and options["with_scheduler"]:
            raise WrongUsage("A scheduler runs until it is stopped, and a burst ends. Write one of the two.")
        queues = list(dict.fromkeys(options["queues"]))
        if options["burst"] or queues:
            queues = _known_queues(queues)
        with actor.acting("worker", actor=actor.SYSTEM, correlation_id=""):
            if options["burst"]:
                self._burst(queues, options)
            else:
                self._serve(queues, options)

    def _serve(self, queues: list[str], options: dict[str, Any]) -> None:
        from flagsite import worker  # noqa: PLC0415 - imports Celery's worker, which a burst does not need

        status = worker.run(
            queues=queues,
            name=options["name"],
            concurrency=options["concurrency"],
            with_scheduler=options["with_scheduler"],
        )
        if status:
            sys.exit(status)

    def _burst(self, queues: list[str], options: dict[str, Any]) -> None:
        burst = Burst(
            queues=queues,
            concurrency=options["concurrency"] or os.cpu_count() or 1,
            name=f"{options['name'] or 'burst'}@{socket.gethostname()}",
            until_done=options["until_done"],
            on_child_start=lambda: tracing.start("worker"),
            on_child_end=tracing.flush,
        )
        result = burst.run()
        ended = f"{counted(result.attempts, 'job')} ended, {counted(result.failed_chains, 'chain')} FAILED."
        self.stdout.write(ended if result.is_complete else f"{ended} The burst stopped before everything was done.")
        if result.unknown_kinds:
            self.stdout.write(
                f"Due jobs of kinds that this release does not know still wait: {', '.join(result.unknown_kinds)}."
            )
        if result.has_failed:
            sys.exit(1)


def _known_queues(wanted: list[str]) -> list[str]:
    """Return the wanted queues, or all. Raises Refused if a queue does not exist or the database does not answer."""
    try:
        known = list(Queue.objects.order_by("name").values_list("name", flat=True))
    except DatabaseError as error:
        raise Refused(error_message(error)) from error
    for queue in wanted:
        if queue not in known:
            raise Refused(f"There is no queue {queue!r}. The queues are {', '.join(known)}.")
    return wanted or known
