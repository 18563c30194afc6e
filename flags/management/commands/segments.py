"""Find segments, and what uses them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from flags.segments import service
from flags.segments.console import document_of
from flags.segments.models import Segment
from flags.segments.selectors import matching
from flags.segments.serializers import SegmentUsesSerializer
from flags.segments.uses import uses_of
from flags.targeting.words import conditions_in_words
from flagsite.core.console import terminal
from flagsite.core.console.arguments import count
from flagsite.core.console.command import Answer, OperatorCommand

MAX_LIMIT = 10_000
FILTERS = ("tag", "owner", "search")


class Command(OperatorCommand):
    help = "Find segments, oldest first, or read the named segments with the flags and segments that use them."

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("segments", nargs="*", metavar="SEGMENT", help="only these segments")
        parser.add_argument("--search", metavar="TEXT", help="a part of the key or description")
        parser.add_argument("--tag", help="segments with this tag")
        parser.add_argument("--owner", help="segments with exactly this owner")
        parser.add_argument("--limit", type=count(1, MAX_LIMIT), default=50, metavar="N", help="default: 50")

    def answer(self, *, segments: list[str], limit: int, **options: Any) -> Answer:
        if segments:
            return self._named([service.segment_called(key) for key in segments])
        filters = {name: options[name] for name in FILTERS if options[name]}
        rows = list(matching(Segment.objects.all(), filters).order_by("id")[: limit + 1])
        found, more = rows[:limit], len(rows) > limit
        table = terminal.table("Segment", "Rules", "Included", "Excluded", "Owner")
        for each in found:
            sizes = [f"{len(listed):,}" for listed in (each.rules, each.included, each.excluded)]
            table.add_row(*terminal.cells(each.key, *sizes, each.owner))
        output: list[Any] = [table] if found else ["No segment matches."]
        output += [f"There are more than {limit:,}. A higher --limit shows more."] if more else []
        return Answer({"results": [document_of(each) for each in found], "more": more}, output)

    def _named(self, found: list[Segment]) -> Answer:
        documents, output = [], []
        for each in found:
            uses = uses_of(each.key)
            documents.append(document_of(each) | {"uses": SegmentUsesSerializer(uses).data})
            output += [f"{each.key}: {each.description}"] if each.description else [each.key]
            output += [f"  {rule['id']}: {conditions_in_words(rule)}" for rule in each.rules]
            output.append(f"  {len(each.included):,} included keys, {len(each.excluded):,} excluded keys")
            for user in uses.flags:
                output.append(f"  used by the flag {user.key}{_through(user.through)}")
            for one in uses.segments:
                output.append(f"  used by the segment {one.key}{_through(one.through)}")
            output += [f"  used by the scheduled change {number}" for number in uses.schedules]
        return Answer({"results": documents, "more": False}, output)


def _through(segments: Any) -> str:
    return f" through {', '.join(segments)}" if segments else ""
