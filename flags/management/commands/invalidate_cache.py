"""Let all processes read again what they cache."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flags.serving.operator_invalidation import invalidate
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, WrongUsage
from orgs.tree import console


class Command(OperatorCommand):
    help = (
        "Let all processes read again from the database what they cache. This is needed only after changes past "
        "Flagsite. The exit status is 1 if a name is unknown."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("--all", dest="everything", action="store_true", help="everything that processes cache")
        parser.add_argument(
            "--organization", action="append", default=[], metavar="ORG", dest="organizations",
            help="this organization and all below it (key or id); may be given several times",
        )  # fmt: skip
        parser.add_argument(
            "--flag", action="append", default=[], metavar="FLAG", dest="flags", help="may be given several times"
        )
        add_reason(parser)

    def answer(self, *, everything: bool, organizations: list[str], flags: list[str], **options: Any) -> Answer:
        if not (everything or organizations or flags):
            raise WrongUsage("Name what to read again: --all, --organization or --flag.")
        result = invalidate(console.everything(), everything=everything, organizations=organizations, flag_keys=flags)
        output = [f"{_named(one)}: {one['reason']}" for one in result.failed]
        counts = f"{len(result.done):,} done, {len(result.failed):,} refused."
        document = {"done": result.done, "failed": result.failed}
        if result.failed:
            return Answer(document, output, failed=True, error_summary=counts)
        return Answer(document, [*output, counts])


def _named(one: dict[str, Any]) -> str:
    return str(one.get("organizationId") or one.get("featureFlag"))
