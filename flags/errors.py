"""What can go wrong with flags. Each class's docstring is the message a person reads."""

from __future__ import annotations

from orgs.errors import FlagsiteError


class FlagNotFound(FlagsiteError):
    """There is no such flag."""


class InvalidFlagKey(FlagsiteError):
    """A flag's name has 1 to 255 of the characters A-Z a-z 0-9 . _ - and starts with a letter or digit."""


class TargetingKeyMissing(FlagsiteError):
    """The flag is rolled out by a targeting key, and none was sent."""


class ScheduleNotFound(FlagsiteError):
    """There is no such schedule, or it is not yours to see."""


class InvalidSchedule(FlagsiteError):
    """The change cannot be scheduled like this."""


class ScheduleNotCancellable(FlagsiteError):
    """The schedule cannot be cancelled any more."""


class ScheduleNotRetryable(FlagsiteError):
    """The schedule cannot be retried."""
