"""Pause a queue."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, me
from jobs.console.queue_tables import queue_document, state_words
from jobs.operations import queue_operations


class Command(OperatorCommand):
    help = "Let no job of the queue start until it is resumed; what runs goes on. The pause outlives restarts."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("queue")
        add_reason(parser)

    def answer(self, *, queue: str, reason: str, **options: Any) -> Answer:
        paused = queue_operations.pause(queue, by=me(), reason=reason)
        return Answer(queue_document(paused), [f"The queue {paused.name} is {state_words(paused)}."])
