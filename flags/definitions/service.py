"""Creating, changing, archiving and purging definitions. The API, the admin site and schedules call these functions.

Every write of a definition takes the definitions' lock, so that two concurrent writes cannot create a circle of
prerequisites. The UPDATE statement increases the version, and fails if the version is no longer the one that was read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models import F
from django.db.models.functions import Now

from flags.definitions import definition_plan, prerequisites, typed_definitions, variant_uses
from flags.definitions import purge as purging
from flags.definitions.definition_plan import DefinitionPlan
from flags.definitions.fields import FIELDS, as_json, differ, values_of
from flags.definitions.models import Flag, check_flag_key
from flags.definitions.refusals import existing_flag, live_flag, purging_flag
from flags.errors import FlagChangedMeanwhile, FlagNeeded, InvalidDefinition
from flags.evaluation.wants import stored_wants
from flags.events import FLAG_CHANGED
from flags.history.models import FormerDefinition
from flags.segments.uses import check_named
from flags.states.planning import ANYTHING, Agreed
from flags.values.types import FlagType
from jobs.engine.models import Job
from jobs.notifications.events import notify
from orgs.audit import audit_log

EVERYBODY = 100
ANY = frozenset({"*"})
"""The value of `expected` that accepts every revision."""


@dataclass(frozen=True, slots=True)
class Undoes:
    """The number of the change that a change undoes, and the number of fields that it leaves as they are."""

    number: int
    left_alone: int

    @property
    def details(self) -> dict[str, int]:
        """The details of the audit entry."""
        return {"undone": self.number, "leftAlone": self.left_alone}


def flag_called(key: str) -> Flag:
    """Return the flag with this key. Raises InvalidFlagKey, FlagNotFound."""
    check_flag_key(key)
    return Flag.objects.called(key)


def create(*, key: str, values: Mapping[str, Any], by: str, reason: str = "") -> Flag:
    """Define a flag. `values` has definition fields by their names in `flags.definitions.fields.FIELDS`.

    A definition without a percentage gets FLAGS_DEFAULT_ROLLOUT, and one without a default variant its first variant.
    Raises InvalidFlagKey, InvalidDefinition, FlagExists, FlagPurging, UnknownPrerequisite, PrerequisiteCycle,
    UnknownSegment.
    """
    check_flag_key(key)
    if settings.FLAGS_DEFAULT_ROLLOUT != EVERYBODY:
        values = {"rollout_percentage": Decimal(settings.FLAGS_DEFAULT_ROLLOUT), **values}
    values = _normalized(values)
    values = typed_definitions.settled_new(Flag(key=key, type=values.get("type", FlagType.BOOLEAN)), values)
    columns = _columns(values)
    made = typed_definitions.highest(values["variants"])
    flag = Flag(key=key, created_by=by[:200], updated_by=by[:200], variants_made=made, **columns, **_wants(values))
    _check(flag, columns)
    with transaction.atomic():
        lock_definitions()
        needed = prerequisites.check(key, values.get("prerequisites", []))
        check_named(columns.get("targeting_rules", ()))
        try:
            with transaction.atomic():
                flag.save(force_insert=True)
        except IntegrityError as error:  # perhaps by `set_flag`, which does not take the definitions' lock
            other = Flag.objects.filter(key=key).first()
            if other is None:
                raise
            raise existing_flag(other) from error
        flag.prerequisites.set(needed)
        flag.refresh_from_db()
        audit_log.record(
            "flag.create", f"flag:{key}", by=by, reason=reason, before=None, after=as_json(values_of(flag))
        )
    return flag


def update(
    *,
    key: str,
    values: Mapping[str, Any],
    by: str,
    reason: str = "",
    expected: Collection[str] = ANY,
    agreed: Agreed = ANYTHING,
    undoes: Undoes | None = None,
    leaves_wants: bool = False,
) -> Flag:
    """Change some fields of a definition. If all fields have these values already, nothing is written.

    `expected` has revisions (`Flag.revision`), and the flag must have one of them. `agreed` is what the caller knows of
    the effect. `undoes` says that the change undoes another one. With `leaves_wants`, the change may remove a variant
    that another flag needs: the caller changes that flag in the same transaction, and checks it in the end with
    `variant_uses.check_unwanted`. Raises InvalidFlagKey, FlagNotFound, FlagChangedMeanwhile, FlagPurging,
    FlagTypeImmutable, InvalidDefinition, VariantInUse, UnknownPrerequisite, PrerequisiteCycle, UnknownSegment,
    PlanStale, BlastRadius.
    """
    with transaction.atomic():
        flag = _lock_flag(key, expected)
        before = values_of(flag)
        changed = _changed(flag, before, values)
        if not changed:
            return flag
        if agreed != ANYTHING:
            agreed.check(definition_plan.of_change(flag, before, changed))
        _write(flag, changed, by, leaves_wants=leaves_wants)
        archives = set(changed) == {"archived"} and changed["archived"]
        action = "flag.undo" if undoes else "flag.archive" if archives else "flag.update"
        audit_log.record(
            action, f"flag:{key}", by=by, reason=reason, version=flag.version,
            before=as_json({name: before[name] for name in changed}), after=as_json(changed),
            changeNumber=number_of_change(flag), **(undoes.details if undoes else {}),
        )  # fmt: skip
        notify(
            FLAG_CHANGED, f"{by} has changed the definition of the flag {key}: {', '.join(sorted(changed))}.",
            text_below=f"The definition of the flag {key} was changed: {', '.join(sorted(changed))}.",
            subject=f"flag:{key}", page=("admin:flags_flag_change", flag.pk), flag=key, fields=sorted(changed), by=by,
        )  # fmt: skip
    return flag


def plan(*, key: str, values: Mapping[str, Any]) -> DefinitionPlan:
    """Return what `update` would do with these values. Nothing is written.

    Raises InvalidFlagKey, FlagNotFound, FlagPurging, FlagTypeImmutable, InvalidDefinition, VariantInUse,
    UnknownPrerequisite, PrerequisiteCycle,
    UnknownSegment.
    """
    flag = flag_called(key)
    if flag.purging:
        raise purging_flag(key)
    before = values_of(flag)
    changed = _changed(flag, before, values)
    _take_over(flag, changed)
    return definition_plan.of_change(flag, before, changed)


def archive(*, key: str, **change: Any) -> Flag:
    """Archive a flag: it is off for everybody and not listed; its flag states stay.

    The other arguments and the errors are those of `update`.
    """
    return update(key=key, values={"archived": True}, **change)


def purge(*, key: str, by: str, reason: str = "", correlation_id: str = "", expected: Collection[str] = ANY) -> Job:
    """Mark an archived flag as purging, for ever, and create the job that deletes its flag states, changes and itself.

    If a purge of the flag is open, returns its job. After a failed or cancelled purge, creates a new job. The open
    scheduled changes of the flag are cancelled.
    Raises InvalidFlagKey, FlagNotFound, FlagChangedMeanwhile, FlagNotArchived, FlagNeeded.
    """
    with transaction.atomic():
        flag = flag_called(key)
        for end_what_needs in purging.before_purge:
            end_what_needs(flag)  # before the lock: a scheduled change that is being applied waits for this lock
        flag = _lock_flag(key, expected, allow_purging=True)
        open_job = purging.open_job(flag)
        if open_job is not None:
            return open_job
        if not flag.archived:
            raise live_flag(key)
        needed_by = prerequisites.dependents_of(flag)
        if needed_by:
            raise FlagNeeded(
                f"The flag is a prerequisite of {', '.join(needed_by)}. Remove it from these prerequisites first."
            )
        before = values_of(flag)
        if not flag.purging:
            _update_if_unchanged(flag, by, purging=True)
        job = purging.start(flag, requested_by=by, correlation_id=correlation_id)
        audit_log.record(
            "flag.purge", f"flag:{key}", by=by, reason=reason, jobId=job.pk,
            before=as_json(before), after=as_json(values_of(flag)),
        )  # fmt: skip
    return job


def number_of_change(flag: Flag) -> int:
    """Return the number of the latest change of a definition, which history has drawn. There is at least one."""
    former = FormerDefinition.objects.filter(flag_id=flag.pk).order_by("-valid_until", "-id")
    return int(former.values_list("replaced_by", flat=True)[0])


def lock_definitions() -> None:
    """Keep everybody else from writing definitions until the transaction ends."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(hashtext('flags.definitions'))")


def _lock_flag(key: str, expected: Collection[str], *, allow_purging: bool = False) -> Flag:
    """Take the definitions' lock, and return the flag if it has an expected revision."""
    lock_definitions()
    flag = flag_called(key)
    if "*" not in expected and flag.revision not in expected:
        raise FlagChangedMeanwhile
    if flag.purging and not allow_purging:
        raise purging_flag(key)
    return flag


def differing(flag: Flag, values: Mapping[str, Any]) -> list[str]:
    """Return the fields, by their names in JSON, in which the definition is not what these values say."""
    return sorted(FIELDS[name].wire_name for name in _changed(flag, values_of(flag), values))


def _changed(flag: Flag, before: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that differ from those of before. The order of prerequisites does not count."""
    settled = typed_definitions.settled(flag, _normalized(values))
    return {name: value for name, value in settled.items() if differ(before[name], value)}


def _take_over(flag: Flag, changed: Mapping[str, Any], *, leaves_wants: bool = False) -> list[Flag] | None:
    """Give the flag in memory the new values, and check them. Returns its prerequisites if they change."""
    columns = _columns(changed)
    numbers = {each["key"]: each["number"] for each in flag.variants}
    for name, value in columns.items():
        setattr(flag, name, value)
    kept = {each["key"] for each in flag.variants}
    removed = {key: number for key, number in numbers.items() if key not in kept}
    variant_uses.check_unused(flag, removed, leaves_wants=leaves_wants)
    _check(flag, columns)
    check_named(changed.get("targeting_rules", ()))
    return prerequisites.check(flag.key, changed["prerequisites"]) if "prerequisites" in changed else None


def _write(flag: Flag, changed: Mapping[str, Any], by: str, *, leaves_wants: bool) -> None:
    columns = _columns(changed)
    if {"variants", "value_schema"} & set(changed):  # nobody sets a variant or value that is being made impossible
        Flag.objects.select_for_update().get(pk=flag.pk)
    if "variants" in changed:
        columns["variants_made"] = max(flag.variants_made, typed_definitions.highest(changed["variants"]))
    needed = _take_over(flag, changed, leaves_wants=leaves_wants)
    _update_if_unchanged(flag, by, **columns, **_wants(changed))
    if needed is not None:  # after the row: the trigger of the row keeps the former prerequisites for history
        flag.prerequisites.set(needed)


def _normalized(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values in the form in which a definition keeps them."""
    return {name: FIELDS[name].kept(value) for name, value in values.items()}


def _columns(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that are columns of the flag's row, that is all except prerequisites."""
    return {name: value for name, value in values.items() if FIELDS[name].is_column}


def _wants(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the column that keeps what the prerequisites have to be, if the values have prerequisites."""
    return {"prerequisite_wants": stored_wants(values["prerequisites"])} if "prerequisites" in values else {}


def _update_if_unchanged(flag: Flag, by: str, **columns: Any) -> None:
    """Write the columns if the flag still has the version that was read. Reloads `flag`."""
    same = Flag.objects.filter(pk=flag.pk, version=flag.version)
    if same.update(version=F("version") + 1, updated_at=Now(), updated_by=by[:200], **columns) != 1:
        raise FlagChangedMeanwhile
    flag.refresh_from_db()


def _check(flag: Flag, changed: Collection[str]) -> None:
    """Check each changed field, and the definition as a whole."""
    if (flag.rollout_unit == Flag.Unit.ANCESTOR) != (flag.rollout_level is not None):
        raise InvalidDefinition("The rolloutUnit ancestor needs a rolloutLevel, and other units must not have one.")
    errors = {FIELDS[name].wire_name: messages for name in changed if (messages := _messages_about(flag, name))}
    if not errors and typed_definitions.DEPENDENT & set(changed):
        errors = {FIELDS[name].wire_name: [message] for name, message in typed_definitions.faults(flag, changed)}
    if errors:
        raise InvalidDefinition(" ".join(f"{name}: {' '.join(messages)}" for name, messages in errors.items()))


def _messages_about(flag: Flag, name: str) -> list[str]:
    """Return the error messages of a field, from its validator or from the lengths and choices of the model."""
    try:
        FIELDS[name].check(getattr(flag, name))
        flag.clean_fields(exclude={field.name for field in Flag._meta.fields} - {name})
    except ValidationError as error:
        return list(error.messages)
    return []
