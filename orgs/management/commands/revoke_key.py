"""The command revoke_key: revoke an access key."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console import terminal
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand
from orgs.access import access_keys, key_plans
from orgs.access.access_key_serializers import AccessKeyWithPlansSerializer, RevokedAccessKeySerializer
from orgs.access.key_plans import KeyPlans


class Command(OperatorCommand):
    help = "Revoke an access key for ever, and cancel what it has scheduled."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("prefix", metavar="PREFIX", help="the start of the key, up to the dot")
        parser.add_argument("--dry-run", action="store_true", help="only show what the key has scheduled")
        add_reason(parser)

    def answer(self, *, prefix: str, dry_run: bool, **options: Any) -> Answer:
        prefix = prefix.partition(".")[0]
        if dry_run:
            key = access_keys.find(prefix)
            plans = key_plans.planned_by(prefix)
            lines = [f"{key.name} ({key.prefix}) would be revoked, and {plans.in_words} cancelled.", *_lines(plans)]
            lines += access_keys.said_of_former_keys(key)
            return Answer(AccessKeyWithPlansSerializer(key).data, lines)
        key, ended = access_keys.revoke(prefix=prefix)
        lines = [f"{key.name} ({key.prefix}) is revoked, and {ended.in_words} cancelled.", *_lines(ended)]
        lines += access_keys.said_of_former_keys(key)
        return Answer(RevokedAccessKeySerializer(key, context={"ended": ended}).data, lines)


def _lines(plans: KeyPlans) -> list[str]:
    lines = [
        f"  {change.id}: {change.description}, at {terminal.format_time(change.planned_at)} UTC"
        for change in plans.changes
    ]
    more = plans.count - len(plans.changes)
    return [*lines, f"  and {more:,} more"] if more else lines
