"""How commands show scheduled changes, and do one operation to several of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.table import Column, Table
from rich.text import Text

from flags.schedules.models import FlagSchedule
from flags.schedules.serializers import ScheduleSerializer
from flagsite.core.console import terminal
from flagsite.core.console.command import Answer, result_of_each
from flagsite.core.errors import FlagsiteError
from orgs.tree.models import Organization

STYLES = {"pending": "cyan", "applied": "green", "failed": "red", "cancelled": "dim"}


def documents_of(schedules: Sequence[FlagSchedule]) -> list[dict[str, Any]]:
    """The schedules as JSON, the way the API answers them."""
    return [dict(document) for document in ScheduleSerializer(schedules, many=True).data]


def what(schedule: FlagSchedule) -> str:
    """What is applied, in a few words: on, off, or the fields of the definition."""
    if schedule.organization_id is not None:
        return "on" if schedule.wanted["enabled"] else "off"
    return ", ".join(f"{name} {_value(value)}" for name, value in schedule.wanted.items())


def status_word(schedule: FlagSchedule) -> Text:
    """The status, in its colour; of a failed one also whether it is tried again."""
    again = f", again at {terminal.format_time(schedule.next_retry_at)}" if schedule.next_retry_at else ""
    return Text(schedule.status + again, style=STYLES[schedule.status])


def schedules_table(schedules: Sequence[FlagSchedule]) -> Table:
    """One row for each."""
    organizations = Organization.objects.in_bulk({schedule.organization_id for schedule in schedules} - {None})
    table = terminal.table(
        Column("ID", justify="right", no_wrap=True), Column("When (UTC)", no_wrap=True), Column("Flag", no_wrap=True),
        Column("What", overflow="fold"), Column("Where", overflow="fold"), Column("Status", overflow="fold"),
        Column("By", overflow="fold"), Column("Error", overflow="fold"),
    )  # fmt: skip
    for schedule in schedules:
        recurs = f" ({schedule.cron} {schedule.time_zone})" if schedule.cron else ""
        table.add_row(
            *terminal.cells(
                str(schedule.pk), terminal.format_time(schedule.scheduled_at), schedule.flag_key,
                what(schedule) + recurs, where(schedule, organizations), status_word(schedule),
                schedule.created_by, schedule.last_error,
            )
        )  # fmt: skip
    return table


def where(schedule: FlagSchedule, organizations: Mapping[int, Organization]) -> str:
    """The organization's key, or that it is the definition."""
    if schedule.organization_id is None:
        return "the definition"
    organization = organizations.get(schedule.organization_id)
    return organization.key if organization else f"id {schedule.organization_id}, deleted"


def do_to_each(ids: Sequence[int], do: Callable[[int], FlagSchedule], *, done_word: str) -> Answer:
    """Do the operation to every schedule, each once; a refusal of one stops no other, and makes the exit status 1."""
    results: list[dict[str, Any]] = []
    shown: list[RenderableType] = []
    for schedule_id in dict.fromkeys(ids):
        try:
            schedule = do(schedule_id)
        except FlagsiteError as error:
            results.append({"scheduleId": schedule_id, "status": None, "refused": error.detail})
            shown.append(terminal.line(f"{schedule_id}: {error.detail}", style="red"))
        else:
            results.append({"scheduleId": schedule_id, "status": schedule.status, "refused": None})
            shown.append(f"{schedule_id}: {done_word}")
    refused = sum(result["refused"] is not None for result in results)
    return result_of_each(results, shown, refused=refused)


def _value(value: Any) -> str:
    if isinstance(value, list | dict):
        return f"{len(value)} listed"
    if isinstance(value, bool):
        return "on" if value else "off"
    return "none" if value is None else str(value)
