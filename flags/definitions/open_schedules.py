"""The scheduled changes that wait for a flag: who archives the flag is told of them.

An archived flag can be restored, so archiving it cancels nothing. Only a purge does (`flags.schedules.ending`).
"""

from __future__ import annotations

from flags.definitions.models import Flag
from flagsite.core.words import counted

WHILE_ARCHIVED = "As long as the flag is archived, none of them can set its value: at its time, it fails."


def open_schedules(flag: Flag) -> int:
    """Return how many scheduled changes of the flag, or of its definition, wait for their time or for a retry."""
    return flag.schedules.open().count()


def said_of_schedules(flag: Flag) -> str:
    """Return sentences on the scheduled changes that wait for an archived flag; empty if there are none."""
    count = open_schedules(flag)
    if not count:
        return ""
    wait = "waits" if count == 1 else "wait"
    return f"{counted(count, 'scheduled change')} of {flag.key} still {wait}. {WHILE_ARCHIVED}"
