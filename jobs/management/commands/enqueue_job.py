"""Enqueue a job."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason, duration, future_time, json_object, limited_text
from flagsite.core.console.command import Answer, OperatorCommand
from jobs.api.enqueue_serializers import EnqueuedSerializer
from jobs.console.selection_arguments import priority
from jobs.engine.models import Job
from jobs.operations.enqueue import MAX_CORRELATION_ID_LENGTH, MAX_UNIQUE_KEY_LENGTH, PRIORITIES, enqueue_for
from orgs.access.visible_organizations import find_organization
from orgs.tree.console import everything


class Command(OperatorCommand):
    help = (
        "Enqueue a job of a kind that the command job_kinds lists. A job with a unique key that an open job has "
        "already is not created: the answer names the open one."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("kind", metavar="KIND", help="one of job_kinds")
        parser.add_argument(
            "--arguments", type=json_object, default={}, metavar="JSON", help="what the schema of the kind describes"
        )
        parser.add_argument("--organization", metavar="ORG", help="the organization for which the job works")
        parser.add_argument(
            "--queue", default="", metavar="QUEUE", help="where the job waits; in the queue of its kind if missing"
        )
        parser.add_argument("--run-at", type=future_time, metavar="TIME", help="when the job is due; now if missing")
        parser.add_argument(
            "--start-within", type=duration, metavar="DURATION", help="cancel the job if it starts later after this"
        )
        parser.add_argument("--priority", type=priority, metavar="N", help="higher runs first")
        parser.add_argument(
            "--trigger",
            choices=[trigger.value for trigger in PRIORITIES],
            default=Job.Trigger.ADMIN.value,
            help="what asks for the job; it decides the priority",
        )
        parser.add_argument(
            "--unique-key",
            type=limited_text(MAX_UNIQUE_KEY_LENGTH),
            default="",
            metavar="KEY",
            help="no second job of the kind has it",
        )
        parser.add_argument(
            "--unique-while",
            choices=Job.Uniqueness.values,
            default=Job.Uniqueness.OPEN.value,
            help="how long the key holds",
        )
        parser.add_argument(
            "--replace", action="store_true", help="give the job that has the key these arguments, if it has not begun"
        )
        parser.add_argument("--correlation-id", type=limited_text(MAX_CORRELATION_ID_LENGTH), default="", metavar="ID")
        add_reason(parser)

    def answer(
        self,
        *,
        kind: str,
        arguments: dict[str, Any],
        organization: str | None,
        run_at: datetime | None,
        start_within: timedelta | None,
        trigger: str,
        **options: Any,
    ) -> Answer:
        names = ("queue", "priority", "unique_key", "unique_while", "replace", "correlation_id", "reason")
        done = enqueue_for(
            everything(),
            kind=kind,
            arguments=arguments,
            organization=find_organization(organization).pk if organization else None,
            run_at=run_at,
            start_within=start_within,
            trigger=Job.Trigger(trigger),
            **{name: options[name] for name in names},
        )
        text = f"Job {done.job.pk} of the kind {kind} is {done.job.status} in the queue {done.job.queue}."
        if done.is_replaced:
            text = f"Job {done.job.pk} waited with this unique key, and does now what you ask for."
        elif done.is_deduplicated:
            text = f"Job {done.job.pk} has this unique key already, and is {done.job.status}."
        return Answer(EnqueuedSerializer(done).data, [text])
