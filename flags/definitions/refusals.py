"""Errors about the state of a flag, with messages that name the way out."""

from __future__ import annotations

from difflib import get_close_matches

from django.db.models import Exists, OuterRef
from django.db.models.functions import Length

from flags.definitions.models import Flag
from flags.errors import FlagArchived, FlagExists, FlagLocked, FlagNotArchived, FlagNotFound, FlagPurging
from flags.states.models import FlagState

MAX_OFFERED = 3
MAX_COMPARED = 2_000
"""Comparing more names takes longer than a few hundredths of a second."""
MAX_DIFFERENCE_OF_LENGTHS = 4


def unknown_flag(key: str, *, known_to: int | None = None) -> FlagNotFound:
    """Return the error for a flag that does not exist, with near names in its message.

    With `known_to`, the id of an organization, it offers only flags that have a flag state there. A caller who is bound
    to this organization learns no other names.
    """
    return FlagNotFound(f"There is no flag {key!r}.{offer(key, known_to=known_to)}")


def offer(key: str, *, known_to: int | None = None) -> str:
    """Return a sentence with near names, with a space before it; empty if there are none."""
    near = [repr(name) for name in _near_names(key, known_to)]
    return f" Did you mean {' or '.join(near)}?" if near else ""


def archived_flag(key: str) -> FlagArchived:
    """Return the error for setting an archived flag."""
    return FlagArchived(
        f"The flag {key!r} is archived, so it is off for everybody. Unarchive it before you set it: open its page in "
        'the admin site, send PATCH with {"archived": false} to its definition, or use the command unarchive_flag.'
    )


def locked_flag(key: str, locked_by: int, name: str = "") -> FlagLocked:
    """Return the error for a change below a lock. The caller gives a `name` only to who may see the organization."""
    where = f"the organization {name}" if name else "an organization above this one"
    error = FlagLocked(
        f"The flag {key!r} is locked by {where}, so nobody can set or reset it below. Unlock it there: send DELETE to "
        "the flag of that organization, or ask somebody who may.",
        flag=key,
    )
    error.locked_by = locked_by
    return error


def purging_flag(key: str) -> FlagPurging:
    """Return the error for an operation on a flag that is being purged."""
    return FlagPurging(
        f"The flag {key!r} is being purged. When the job of the purge has ended, you can define a new flag with this "
        "name."
    )


def live_flag(key: str) -> FlagNotArchived:
    """Return the error for purging a flag that is not archived."""
    return FlagNotArchived(
        f"The flag {key!r} is not archived, so programs may still use it. Archive it first: it is then off for "
        "everybody, and you can still undo this. Then purge it."
    )


def existing_flag(flag: Flag) -> FlagExists | FlagPurging:
    """Return the error for defining a flag whose name another flag has."""
    if flag.purging:
        return purging_flag(flag.key)
    if flag.archived:
        return FlagExists(
            f"A flag with the name {flag.key!r} exists already, and it is archived. To use it again, unarchive it: "
            'open its page in the admin site, send PATCH with {"archived": false} to its definition, or use the '
            "command unarchive_flag. To define another flag with this name, first purge the archived one: open its "
            "page, send DELETE with ?purge=true, or use the command purge_flag."
        )
    return FlagExists(f"A flag with the name {flag.key!r} exists already.")


def _near_names(key: str, known_to: int | None) -> list[str]:
    lengths = (len(key) - MAX_DIFFERENCE_OF_LENGTHS, len(key) + MAX_DIFFERENCE_OF_LENGTHS)
    flags = Flag.objects.alias(length=Length("key")).filter(
        archived=False, length__gte=lengths[0], length__lte=lengths[1]
    )
    if known_to is not None:
        flags = flags.filter(Exists(FlagState.objects.filter(organization_id=known_to, flag_id=OuterRef("pk"))))
    names = {name.lower(): name for name in flags.order_by("key").values_list("key", flat=True)[:MAX_COMPARED]}
    return [names[found] for found in get_close_matches(key.lower(), names, n=MAX_OFFERED, cutoff=0.75)]
