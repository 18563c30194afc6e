"""Read the statistics, or compute them."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from rich.table import Column

from flags.statistics import computation
from flags.statistics.figures import STATISTICS
from flags.statistics.selectors import ComputedStatistic, all_statistics, find_statistic
from flags.statistics.serializers import StartedStatisticsSerializer, StatisticSerializer
from flagsite.core.console import terminal
from flagsite.core.console.arguments import add_reason
from flagsite.core.console.command import Answer, OperatorCommand, WrongUsage, me

MAX_SHOWN_POINTS = 20
"""Points of one statistic that the command shows; --json has all of them."""


class Command(OperatorCommand):
    help = (
        "Show the statistics as they were computed last, or one of them, or compute all of them now as a batch of jobs "
        "side by side."
    )

    def add_options(self, parser: CommandParser) -> None:
        parser.add_argument("name", nargs="?", metavar="NAME", help=f"one of: {', '.join(STATISTICS)}")
        parser.add_argument("--compute", action="store_true", help="start the computation instead of reading")
        add_reason(parser)

    def answer(self, *, name: str | None, compute: bool, reason: str, **options: Any) -> Answer:
        if not compute:
            found = all_statistics() if name is None else [find_statistic(name)]
            return Answer({"results": [dict(StatisticSerializer(one).data) for one in found]}, _output(found))
        if name:
            raise WrongUsage("--compute computes all statistics; leave NAME out.")
        started = computation.start(by=me(), reason=reason)
        context = {"deduplicated": started.is_deduplicated}
        words = "computes them already" if started.is_deduplicated else "computes all statistics"
        text = f"Batch {started.batch.pk} {words}. See it with: bin/manage batch {started.batch.pk} --follow"
        return Answer(dict(StartedStatisticsSerializer(started.batch, context=context).data), [text])


def _output(found: list[ComputedStatistic]) -> list[Any]:
    output: list[Any] = []
    for one in found:
        if one.latest is None:
            output.append(f"{one.figures.title}: never computed.")
            continue
        output.append(f"{one.figures.title}, computed {terminal.format_time(one.latest.computed_at)} UTC")
        table = terminal.table(Column("Name", overflow="fold"), Column(one.figures.unit.capitalize(), justify="right"))
        for point in one.points[:MAX_SHOWN_POINTS]:
            table.add_row(*terminal.cells(point["label"], f"{point['value']:,}"))
        output.append(table if one.points else "There was nothing to count.")
    return output
