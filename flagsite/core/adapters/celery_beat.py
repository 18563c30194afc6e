"""django-celery-beat: a scheduler that can read its schedule again, and that notices the first change of the schedule.

Why: the library reads the schedule again only if its table of changes has a new entry. Flagsite's beat also has to
read the schedule after it took over from another beat, and after a lost database connection. In addition, the library
ignores a change if it does not know an earlier one. So for five minutes it would not notice changes right after its
start, or that migrations have filled empty tables.

Private names: `DatabaseScheduler._schedule` (entries by name), `_initial_read` (whether the next look reads the whole
schedule) and `_last_timestamp` (the last change that is known, or None).

At an upgrade check: the property `DatabaseScheduler.schedule` reads everything while `_initial_read` is true and
returns `_schedule`; `schedule_changed` compares `_last_timestamp` with the table of changes.
"""

from __future__ import annotations

from datetime import UTC, datetime

from django_celery_beat.schedulers import DatabaseScheduler, ModelEntry

DISTRIBUTION = "django-celery-beat"
CHECKED_VERSION = "2.9.0"
LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


class RereadingScheduler(DatabaseScheduler):
    """The library's scheduler, with a method that reads the schedule again."""

    _schedule: dict[str, ModelEntry]
    _last_timestamp: datetime | None

    def schedule_changed(self) -> bool:
        """Whether the schedule has changed since the last call; always true for the first call and the first change."""
        self._last_timestamp = self._last_timestamp or LONG_AGO
        return bool(super().schedule_changed())

    def read_schedule_again(self) -> None:
        """Forget every entry; the next use of `schedule` reads them all from the database."""
        self._schedule, self._initial_read, self._last_timestamp = {}, True, None

    def replace_entry(self, entry: ModelEntry) -> None:
        """Replace the entry of the same name by `entry`, without reading the schedule again."""
        self._schedule[entry.name] = entry
