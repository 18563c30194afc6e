"""Changing definitions of flags: the one module that every channel calls.

Who writes a definition holds one lock, thus reads what nobody else is changing: prerequisites cannot become a circle
by two writes at once. The version grows in the UPDATE itself, which asks for the version that was read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from flags.definitions import prerequisites, rules
from flags.definitions import purge as purging
from flags.definitions.fields import FIELDS, as_json, parts_of
from flags.definitions.models import Flag, check_flag_key
from flags.errors import (
    FlagChangedMeanwhile,
    FlagExists,
    FlagNeeded,
    FlagPurging,
    InvalidDefinition,
)
from jobs.engine.models import Job
from orgs.audit import audit_log

ANY = frozenset({"*"})
"""As `expected`: whatever version there is."""


def flag_called(key: str) -> Flag:
    """The flag with this key. Raises InvalidFlagKey, FlagNotFound."""
    check_flag_key(key)
    return Flag.objects.called(key)


def create(*, key: str, values: Mapping[str, Any], by: str, reason: str = "") -> Flag:
    """Define a flag; `values` has parts of the definition by their names in `definition_fields.FIELDS`.

    Raises InvalidFlagKey, InvalidDefinition, FlagExists, UnknownPrerequisite, PrerequisiteCycle.
    """
    check_flag_key(key)
    columns = {name: value for name, value in values.items() if name != "prerequisites"}
    flag = Flag(key=key, created_by=by[:200], updated_by=by[:200], **columns)
    _check(flag, columns)
    with transaction.atomic():
        _lock()
        needed = prerequisites.check(key, values.get("prerequisites", ()))
        try:
            with transaction.atomic():
                flag.save(force_insert=True)
        except IntegrityError as error:  # by a set on an organization, perhaps, which takes no lock
            if not Flag.objects.filter(key=key).exists():
                raise
            raise FlagExists(f"There is a flag {key!r} already.") from error
        flag.prerequisites.set(needed)
        flag.refresh_from_db()
        audit_log.record("flag.create", f"flag:{key}", by=by, reason=reason, before=None, after=as_json(parts_of(flag)))
    return flag


def update(*, key: str, values: Mapping[str, Any], by: str, reason: str = "", expected: Collection[str] = ANY) -> Flag:
    """Change parts of a definition; where all of them are as they were, nothing is written.

    `expected` has the revisions of which one must still stand. Raises InvalidFlagKey, FlagNotFound,
    FlagChangedMeanwhile, FlagPurging, InvalidDefinition, UnknownPrerequisite, PrerequisiteCycle.
    """
    with transaction.atomic():
        flag = _held(key, expected)
        before = parts_of(flag)
        wanted = {name: sorted(value) if name == "prerequisites" else value for name, value in values.items()}
        changed = {name: value for name, value in wanted.items() if before[name] != value}
        if not changed:
            return flag
        _write(flag, changed, by)
        action = "flag.archive" if set(changed) == {"archived"} and changed["archived"] else "flag.update"
        audit_log.record(
            action, f"flag:{key}", by=by, reason=reason, version=flag.version,
            before=as_json({name: before[name] for name in changed}), after=as_json(changed),
        )  # fmt: skip
    return flag


def archive(*, key: str, by: str, reason: str = "", expected: Collection[str] = ANY) -> Flag:
    """Switch a flag off for everybody and take it out of the lists; its states stay. Raises as `update`."""
    return update(key=key, values={"archived": True}, by=by, reason=reason, expected=expected)


def purge(*, key: str, by: str, reason: str = "", correlation_id: str = "", expected: Collection[str] = ANY) -> Job:
    """Archive a flag for good and start the job that deletes its states, then its changes and the flag.

    Returns the job, or the one that is at it already; after one that has failed or was cancelled a new one goes on.
    Raises InvalidFlagKey, FlagNotFound, FlagChangedMeanwhile, FlagNeeded.
    """
    with transaction.atomic():
        flag = _held(key, expected, purging_too=True)
        at_it = purging.open_job(flag)
        if at_it is not None:
            return at_it
        needed_by = prerequisites.dependents_of(flag)
        if needed_by:
            raise FlagNeeded(f"It is a prerequisite of {', '.join(needed_by)}; take it out of there first.")
        before = parts_of(flag)
        if not flag.purging:
            _swap(flag, by, archived=True, purging=True)
        job = purging.start(flag, requested_by=by, correlation_id=correlation_id)
        audit_log.record(
            "flag.purge", f"flag:{key}", by=by, reason=reason, jobId=job.pk,
            before=as_json(before), after=as_json(parts_of(flag)),
        )  # fmt: skip
    return job


def _lock() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('flags.definitions'))")


def _held(key: str, expected: Collection[str], *, purging_too: bool = False) -> Flag:
    """The flag as it stands, with nobody else changing it."""
    _lock()
    flag = flag_called(key)
    if "*" not in expected and flag.revision not in expected:
        raise FlagChangedMeanwhile
    if flag.purging and not purging_too:
        raise FlagPurging(f"The flag {key!r} is being purged.")
    return flag


def _write(flag: Flag, changed: Mapping[str, Any], by: str) -> None:
    columns = {name: value for name, value in changed.items() if name != "prerequisites"}
    for name, value in columns.items():
        setattr(flag, name, value)
    _check(flag, columns)
    if "prerequisites" in changed:
        flag.prerequisites.set(prerequisites.check(flag.key, changed["prerequisites"]))
    _swap(flag, by, **columns)


def _swap(flag: Flag, by: str, **columns: Any) -> None:
    """Write the columns if the flag still has the version that it was read with; leaves `flag` as it stands now."""
    same = Flag.objects.filter(pk=flag.pk, version=flag.version)
    if same.update(version=F("version") + 1, updated_at=Now(), updated_by=by[:200], **columns) != 1:
        raise FlagChangedMeanwhile
    flag.refresh_from_db()


def _check(flag: Flag, changed: Collection[str]) -> None:
    """Whether the definition makes sense as a whole, and each part that was changed for itself."""
    if (flag.rollout_unit == Flag.Unit.ANCESTOR) != (flag.rollout_level is not None):
        raise InvalidDefinition("rolloutLevel goes with the rolloutUnit ancestor, and with that one only.")
    wrong = {FIELDS[name]: messages for name in changed if (messages := _told_of(flag, name))}
    if wrong:
        raise InvalidDefinition(" ".join(f"{name}: {' '.join(messages)}" for name, messages in wrong.items()))


def _told_of(flag: Flag, part: str) -> list[str]:
    """What is wrong with a part: by its own rule, then by what the model says of it."""
    try:
        rules.check(part, getattr(flag, part))
        flag.clean_fields(exclude={field.name for field in Flag._meta.fields} - {part})
    except ValidationError as error:
        return list(error.messages)
    return []
