"""What can go wrong with flags. Each class's docstring is the message a person reads."""

from __future__ import annotations

from collections.abc import Sequence

from flagsite.core.errors import FlagsiteError


class FlagNotFound(FlagsiteError):
    """There is no such flag."""


class InvalidFlagKey(FlagsiteError):
    """A flag's name has 1 to 255 of the characters A-Z a-z 0-9 . _ - and starts with a letter or digit."""


class TargetingKeyMissing(FlagsiteError):
    """The flag is rolled out by a targeting key, and none was sent."""

    steps: Sequence[object] = ()
    """What the rules before have found (`evaluation.Step`)."""


class UnknownHashVersion(FlagsiteError):
    """The flag is rolled out by a formula that is not known here."""


class FlagExists(FlagsiteError):
    """There is a flag of this name already."""


class InvalidDefinition(FlagsiteError):
    """The definition contradicts itself."""


class UnknownPrerequisite(FlagsiteError):
    """A prerequisite is no flag that there is."""


class PrerequisiteCycle(FlagsiteError):
    """A flag cannot need itself, not even by way of others."""


class FlagChangedMeanwhile(FlagsiteError):
    """The flag is not the one that If-Match names: somebody has changed it since. Read it again."""


class FlagArchived(FlagsiteError):
    """The flag is archived: off for everybody, and nothing can be set."""


class FlagPurging(FlagsiteError):
    """The flag is being purged: it is gone in a moment."""


class FlagNeeded(FlagsiteError):
    """The flag is a prerequisite of others."""


class ScheduleNotFound(FlagsiteError):
    """There is no such schedule, or it is not yours to see."""


class InvalidSchedule(FlagsiteError):
    """The change cannot be scheduled like this."""


class ScheduleNotCancellable(FlagsiteError):
    """The schedule cannot be cancelled any more."""


class ScheduleNotRetryable(FlagsiteError):
    """The schedule cannot be retried."""
