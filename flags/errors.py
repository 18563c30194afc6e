"""Errors of flags, definitions and schedules. The docstring of each class is its message for people."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from flagsite.core.errors import FlagsiteError


class FlagNotFound(FlagsiteError):
    """The flag does not exist."""


class InvalidFlagKey(FlagsiteError):
    """The name of a flag has 1 to 255 of the characters A-Z a-z 0-9 . _ - and starts with a letter or digit."""


class StatisticNotFound(FlagsiteError):
    """There is no statistic with this name."""


class TargetingKeyMissing(FlagsiteError):
    """The rollout of the flag needs a targeting key, and the request has none."""

    steps: Sequence[object] = ()
    """The results of the rules before the rollout (`flags.evaluation.engine.Step`)."""


class UnknownHashVersion(FlagsiteError):
    """This version of Flagsite does not know the hash version of the flag's rollout."""


class FlagExists(FlagsiteError):
    """Another flag already has this name."""


class InvalidDefinition(FlagsiteError):
    """The definition is not valid."""


class InvalidValue(FlagsiteError):
    """The flag has no such variant, or cannot have this value."""


class UnknownPrerequisite(FlagsiteError):
    """A prerequisite does not exist."""


class PrerequisiteCycle(FlagsiteError):
    """A flag cannot need itself, neither directly nor through other flags."""


class SegmentNotFound(FlagsiteError):
    """The segment does not exist."""


class InvalidSegmentKey(FlagsiteError):
    """The key of a segment has 1 to 100 of the characters A-Z a-z 0-9 . _ - and starts with a letter or digit."""


class InvalidSegment(FlagsiteError):
    """The segment is not valid."""


class SegmentExists(FlagsiteError):
    """Another segment already has this key."""


class UnknownSegment(FlagsiteError):
    """A rule asks for a segment that does not exist."""


class SegmentCycle(FlagsiteError):
    """A segment cannot contain itself, neither directly nor through other segments."""


class SegmentNeeded(FlagsiteError):
    """Rules of flags or of other segments ask for the segment."""


class SegmentChangedMeanwhile(FlagsiteError):
    """Somebody has changed the segment since you read it. Read the segment again, and decide again."""


class FlagChangedMeanwhile(FlagsiteError):
    """Somebody has changed the flag since you read it. Read the flag again, and decide again."""


class FlagFileChangedMeanwhile(FlagsiteError):
    """Somebody has changed a definition since you read the flag file. Read the file again, and decide again."""


class InvalidFlagFile(FlagsiteError):
    """The file is not a file of definitions that Flagsite can read."""


class FlagArchived(FlagsiteError):
    """The flag is archived: it is off for everybody, and nobody can set it."""


class FlagTypeImmutable(FlagsiteError):
    """The type of a flag cannot be changed."""


class VariantInUse(FlagsiteError):
    """A variant cannot be removed while a setting, a targeting rule, a scheduled change or the definition uses it."""


class FlagLocked(FlagsiteError):
    """The flag is locked for the organization by one above it."""

    locked_by: int | None = None
    """The id of the organization with the lock."""


class FlagNotLocked(FlagsiteError):
    """No lock above holds for the organization, so there is nothing to exempt it from."""


class ChangeNotFound(FlagsiteError):
    """The change does not exist, or you may not see it."""


class ChangeNotUndoable(FlagsiteError):
    """The change cannot be undone."""


class InvalidMoment(FlagsiteError):
    """A moment of the past is a time, such as 2026-03-14T12:00Z, or the number of a change."""


class BeforeHistory(FlagsiteError):
    """The moment is before history begins, so nothing tells what was then."""

    @classmethod
    def beginning(cls, begins_at: datetime | None) -> BeforeHistory:
        """Return the error that says when history begins; None if it has not begun."""
        if begins_at is None:
            return cls()
        error = cls(f"History begins at {begins_at:%Y-%m-%dT%H:%M:%SZ}. Nothing tells what was before.")
        error.members["beginsAt"] = f"{begins_at:%Y-%m-%dT%H:%M:%SZ}"
        return error


class PlanStale(FlagsiteError):
    """The plan is out of date: something that it depends on has changed."""


class BlastRadius(FlagsiteError):
    """The change would give more organizations another value than the request allows."""


class FlagPurging(FlagsiteError):
    """The flag is being purged. It will be deleted soon."""


class FlagNotArchived(FlagsiteError):
    """The flag is not archived. Archive it before you purge it."""


class FlagNeeded(FlagsiteError):
    """The flag is a prerequisite of other flags."""


class ScheduleNotFound(FlagsiteError):
    """The schedule does not exist, or you may not see it."""


class InvalidSchedule(FlagsiteError):
    """The change cannot be scheduled in this way."""


class ScheduleNoLongerAllowed(FlagsiteError):
    """The author of the schedule may no longer make its change."""


class ScheduleNotCancellable(FlagsiteError):
    """The schedule cannot be cancelled any more."""


class ScheduleNotRetryable(FlagsiteError):
    """The schedule cannot be retried."""
