"""The data of the demo besides its organizations: one of each kind of thing that the OpenAPI document names.

Functions of the product create everything, as they do for people. The order matters, because the examples of the
document use the ids (`flagsite.core.example_names`).
"""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

from django.db import connection, transaction

from flags.definitions import service
from flags.definitions.models import Flag
from flags.schedules import due, plan
from flags.schedules.plan import ScheduleRequest
from flags.segments import service as segments
from flags.states.set_flag import set_flag
from flags.states.setting_rules import Below
from flags.values.types import FlagType
from flagsite.core import actor
from flagsite.core import example_names as names
from flagsite.core.db.clock import now
from flagsite.periodic_tasks import operations as periodic_tasks
from jobs.artifacts.uploads import upload
from jobs.batches.creation import Member, create_batch
from jobs.engine import claiming, lifecycle
from jobs.engine.runner import run_next
from jobs.errors import JobNotFound
from jobs.imports import import_job
from jobs.notifications import subscriptions
from jobs.notifications.subscriptions import Wish
from jobs.operations import queue_operations
from jobs.operations.enqueue import enqueue
from orgs.access import access_keys, people_operations
from orgs.access.caller import Caller
from orgs.access.models import AccessKey, Role
from orgs.importing.options import ImportOptions
from orgs.tree.models import Organization

AUTHOR = "command:demo"
LAUNCH = datetime(2030, 1, 31, 8, tzinfo=UTC)
SALE_BEGINS, SALE_ENDS = datetime(2030, 11, 29, 5, tzinfo=UTC), datetime(2030, 12, 3, 5, tzinfo=UTC)
NEW_STORES = "key,name,parent_key\nno-03-gamle-oslo,Gamle Oslo,no-03\nno-03-sagene,Sagene,no-03\n"
STORES_WITHOUT_PARENT = "key,name,parent_key\nno-99-nowhere,Nowhere,no-99\n"


def create_data() -> bool:
    """Create the data, unless the flag of the demo exists already. Returns whether it was created.

    No worker may run meanwhile: the imports run here, and the propagation waits for the first worker.
    """
    if Flag.objects.filter(key=names.FLAG).exists():
        return False
    with transaction.atomic(), actor.acting("command", actor=AUTHOR, reason="Demo data"):
        _define_flags()
        _create_segments()
        _import_stores()
        _upload_users()
        _create_access()
        _switch_the_sale_on()
        enqueue(kind="cleanup", by=AUTHOR, run_at=now() + timedelta(days=30))
        _create_batch()
        _subscribe()
        queue_operations.create(names.SPARE_QUEUE, by=AUTHOR)
        _plan_changes()
        _lock_the_basket()
        _skip_ids_of_periodic_tasks()
        periodic_tasks.create(
            {
                "name": names.PERIODIC_TASK,
                "task": "jobs.clean_up",
                "description": "Deletes jobs that ended long ago.",
                "crontab": {"minute": "30", "hour": "2", "day_of_week": "0", "timezone": "Europe/Oslo"},
            }
        )
    return True


def _define_flags() -> None:
    everywhere = {"enabled": True, "available_to_clients": True}
    service.create(key=names.BASKET_FLAG, values={"description": "A basket beside each page.", **everywhere}, by=AUTHOR)
    service.create(
        key=names.FLAG,
        values={"description": "The checkout in one step.", "available_to_clients": True, "owner": "team checkout"},
        by=AUTHOR,
    )
    for key, description in (
        (names.SALE_FLAG, "Prices of the sale."),
        (names.HAPPY_HOUR_FLAG, "Cheaper on Friday evenings."),
        (names.ARCHIVED_FLAG, "The banner of last year."),
    ):
        service.create(key=key, values={"description": description}, by=AUTHOR)
    service.archive(key=names.ARCHIVED_FLAG, by=AUTHOR)
    colors = [{"key": "blue", "value": "#00f"}, {"key": "red", "value": "#f00"}]
    service.create(
        key=names.COLOR_FLAG,
        values={
            "description": "The color of the buttons that order.",
            "type": FlagType.STRING.value,
            "variants": colors,
            "value_schema": {"pattern": "^#[0-9a-f]{3}$"},
            **everywhere,
        },
        by=AUTHOR,
    )


def _create_segments() -> None:
    pros = [{"id": "pros", "clauses": [{"attribute": "plan", "op": "in", "values": ["pro", "enterprise"]}]}]
    segments.create(
        key=names.SEGMENT,
        values={"description": "Who tries new things first.", "rules": pros, "included": [names.USER]},
        by=AUTHOR,
    )
    segments.create(key=names.UNUSED_SEGMENT, values={"description": "The first store."}, by=AUTHOR)


def _import_stores() -> None:
    """Check a file without problems, and import one with a problem."""
    for name, content, dry_run in (
        ("stores.csv", NEW_STORES, True),
        ("stores-without-parent.csv", STORES_WITHOUT_PARENT, False),
    ):
        import_job.request(io.BytesIO(content.encode()), name=name, options=ImportOptions(), dry_run=dry_run, by=AUTHOR)
        run_next("default")


def _upload_users() -> None:
    """Upload a file of users for a job."""
    content = io.BytesIO(f"targetingKey\n{names.USER}\n".encode())
    upload(_everybody(), content, name="users.csv", media_type="text/csv")


def _create_access() -> None:
    """Create a person, and an access key whose prefix is known. Nobody learns the secret part of the key."""
    norway = Organization.objects.get(key=names.NORWAY)
    key, _ = access_keys.create(name=names.KEY_NAME, role=Role.EDITOR, organization=norway)
    AccessKey.objects.filter(pk=key.pk).update(id=f"{names.KEY_PREFIX}.{key.hashed_key}", prefix=names.KEY_PREFIX)
    people_operations.create(
        _everybody(), username=names.PERSON, groups=["operator"], organization=norway.pk, first_name="Alice",
        last_name="Andersen", email="alice@example.com",
    )  # fmt: skip


def _switch_the_sale_on() -> None:
    norway = Organization.objects.get(key=names.NORWAY)
    set_flag(organization_id=norway.pk, flag_key=names.SALE_FLAG, enabled=True, requested_by=AUTHOR)


def _lock_the_basket() -> None:
    """Lock the basket in Denmark. The job of this change waits, as that of the sale."""
    denmark = Organization.objects.get(key=names.DENMARK)
    set_flag(
        organization_id=denmark.pk, flag_key=names.BASKET_FLAG, enabled=False, below=Below.LOCK, requested_by=AUTHOR,
        reason="The tills do not know it yet.",
    )  # fmt: skip


def _create_batch() -> None:
    """Create a batch of two clean-ups, of which one has failed and one is due in a month."""
    first = Member(kind="cleanup", name="now", arguments={"dryRun": True})
    later = Member(
        kind="cleanup", name="in a month", arguments={"olderThanDays": 90}, run_at=now() + timedelta(days=30)
    )
    create_batch("upkeep", [first, later], by=AUTHOR)
    job = claiming.claim(queue="cleanup", worker="demo")
    if job is None or job.lease_token is None:
        raise JobNotFound
    lifecycle.fail(job_id=job.pk, lease=job.lease_token, error="The disk is full.", permanent=True)


def _subscribe() -> None:
    """Subscribe the people on call, and send them a test, which stays in the outbox."""
    caller = Caller(AUTHOR, Role.ADMIN)
    events = ["batch.ended", "job.failed"]
    wish = Wish(name="On call", channel="email", target="oncall@example.com", events=events)
    subscription, _ = subscriptions.create(caller, wish)
    subscriptions.send_test(caller, subscription)
    run_next("notification")
    norway = Organization.objects.get(key=names.NORWAY)
    hook = Wish(
        name="CRM", channel="webhook", target="https://hooks.example.com/flags/4711", events=["flag.changed"],
        organization=norway.pk,
    )  # fmt: skip
    subscriptions.create(caller, hook)


def _plan_changes() -> None:
    oslo, norway = (Organization.objects.get(key=key) for key in (names.OSLO, names.NORWAY))
    nightly = Caller(names.KEY_ACTOR, Role.EDITOR, norway.pk)
    launch = ScheduleRequest(names.FLAG, oslo.pk, reason="Launch in Oslo")
    plan.plan_once(nightly, launch, wanted={"enabled": True}, at=LAUNCH)
    plan.plan_pair(_everybody(), ScheduleRequest(names.SALE_FLAG, norway.pk), on_at=SALE_BEGINS, off_at=SALE_ENDS)
    plan.plan_recurring(
        _everybody(), ScheduleRequest(names.HAPPY_HOUR_FLAG, oslo.pk), wanted={"enabled": True}, cron="0 17 * * fri",
        time_zone="Europe/Oslo",
    )  # fmt: skip
    banner = ScheduleRequest(names.ARCHIVED_FLAG, oslo.pk, reason="An archived flag cannot be set", max_retries=0)
    plan.plan_once(_everybody(), banner, wanted={"enabled": True}, at=now())
    due.apply_due()


def _skip_ids_of_periodic_tasks() -> None:
    """Let the next periodic task have the id of the examples, however many the migrations have created."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_get_serial_sequence('django_celery_beat_periodictask', 'id')")
        cursor.execute("SELECT setval(%s, %s, false)", [cursor.fetchone()[0], names.PERIODIC_TASK_ID])


def _everybody() -> Caller:
    return Caller(AUTHOR, Role.ADMIN)
