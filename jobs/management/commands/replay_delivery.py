"""Send deliveries once more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.arguments import add_reason, row_id, since
from flagsite.core.console.command import Answer, OperatorCommand, WrongUsage, me, result_of_each
from flagsite.core.errors import FlagsiteError
from jobs.notifications import deliveries, replays
from jobs.notifications.models import Channel
from jobs.notifications.replays import ENDED, MOST, Selection
from orgs.access.caller import Caller
from orgs.access.models import Role

FILTERS = ("status", "channel", "subscription", "organization", "since")


class Command(OperatorCommand):
    help = (
        "Send deliveries that have ended once more, each with the same message id: those with the ids, or all that "
        f"match --status and the other options, oldest first and {MOST:,} at most."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("ids", type=row_id, nargs="*", metavar="ID")
        parser.add_argument("--status", choices=[*ENDED], type=str.upper, metavar="STATUS",
                            help=f"all with this status: {', '.join(ENDED)}")  # fmt: skip
        parser.add_argument("--channel", choices=Channel.values, metavar="CHANNEL", help=", ".join(Channel.values))
        parser.add_argument("--subscription", type=row_id, metavar="ID", help="those of this subscription")
        parser.add_argument("--organization", metavar="ORG", help="those of this subtree (key or id)")
        parser.add_argument("--since", type=since, metavar="TIME", help="created since 30m, 2h, 7d ago, or an ISO time")
        parser.add_argument("--dry-run", action="store_true", help="only count what would be replayed")
        add_reason(parser)

    def answer(self, *, ids: list[int], status: str | None, dry_run: bool, reason: str, **options: Any) -> Answer:
        if bool(ids) == bool(status) or (ids and (dry_run or any(options[name] for name in FILTERS[1:]))):
            raise WrongUsage("Name either the ids of deliveries, or --status, if you like with the other options.")
        return _replay_each(ids, reason) if ids else _replay_all(str(status), dry_run=dry_run, reason=reason, **options)


def _replay_each(ids: list[int], reason: str) -> Answer:
    caller = Caller(me(), Role.ADMIN)
    results, shown = [], []
    for number in ids:
        try:
            job_id = deliveries.replay(deliveries.delivery_for(caller, number), by=me(), reason=reason).job_id
        except FlagsiteError as error:
            results.append({"id": number, "refused": error.detail})
            shown.append(f"Delivery {number}: {error.detail}")
        else:
            results.append({"id": number, "jobId": job_id})
            shown.append(f"Delivery {number} is sent once more by job {job_id}.")
    return result_of_each(results, shown, refused=sum("refused" in result for result in results))


def _replay_all(
    status: str,
    *,
    channel: str | None,
    subscription: int | None,
    organization: str | None,
    since: datetime | timedelta | None,
    dry_run: bool,
    reason: str,
    **_: Any,
) -> Answer:
    caller = Caller(me(), Role.ADMIN)
    selection = Selection(
        status=status, channel=channel or "", subscription_id=subscription, organization=organization, since=since
    )
    rows = replays.selected(caller, selection)
    if dry_run:
        count = rows.count()
        document: dict[str, Any] = {"dryRun": True, "wouldReplay": count}
        return Answer(document, [f"{count:,} would be replayed; nothing was changed."])
    done = replays.replay_all(caller, rows, reason=reason, at_once=True)
    document = {"dryRun": False, "replayed": done.count, "skipped": done.skipped, "left": done.left}
    shown = [f"{done.count:,} replayed, {done.skipped:,} skipped."]
    if done.left:
        shown.append(f"{done.left:,} are left. Run the command again for them.")
    return Answer(document, shown)
