"""Creating, changing and deleting segments. The API, the admin site, commands and undos call these functions.

A change of a segment is a change of each flag that uses it. Every write takes the definitions' lock, so that a flag
cannot name a segment that somebody deletes at the same time. The UPDATE increases the version, and fails if the version
is no longer the one that was read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F
from django.db.models.functions import Now

from flags.definitions.fields import differ
from flags.definitions.models import Flag
from flags.definitions.service import ANY, Undoes, lock_definitions
from flags.errors import InvalidSegment, SegmentChangedMeanwhile, SegmentExists, SegmentNeeded
from flags.events import FLAG_CHANGED
from flags.history.models import FormerSegment
from flags.segments import segment_plan
from flags.segments.fields import FIELDS, values_of
from flags.segments.models import Segment, check_segment_key
from flags.segments.segment_plan import SegmentPlan
from flags.segments.uses import Uses, check_nesting, uses_of
from flags.states.planning import ANYTHING, Agreed
from jobs.notifications.events import notify
from orgs.audit import audit_log

MOST_NAMED = 100
"""Flags that an audit entry names at most."""


def segment_called(key: str) -> Segment:
    """Return the segment with this key. Raises InvalidSegmentKey, SegmentNotFound."""
    check_segment_key(key)
    return Segment.objects.called(key)


def create(*, key: str, values: Mapping[str, Any], by: str, reason: str = "") -> Segment:
    """Create a segment. `values` has fields by their names in `flags.segments.fields.FIELDS`.

    Raises InvalidSegmentKey, InvalidSegment, SegmentExists, UnknownSegment, SegmentCycle.
    """
    check_segment_key(key)
    segment = Segment(key=key, created_by=by[:200], updated_by=by[:200], **_normalized(values))
    _check(segment, values)
    with transaction.atomic():
        lock_definitions()
        check_nesting(key, segment.rules)
        try:
            with transaction.atomic():
                segment.save(force_insert=True)
        except IntegrityError as error:
            raise SegmentExists(
                f"A segment with the key {key!r} exists already. Change it, or take another key."
            ) from error
        segment.refresh_from_db()
        audit_log.record(
            "segment.create", f"segment:{key}", by=by, reason=reason, before=None, after=values_of(segment)
        )
    return segment


def update(
    *,
    key: str,
    values: Mapping[str, Any],
    by: str,
    reason: str = "",
    expected: Collection[str] = ANY,
    agreed: Agreed = ANYTHING,
    undoes: Undoes | None = None,
) -> Segment:
    """Change some fields of a segment. If all fields have these values already, nothing is written.

    `expected` has revisions (`Segment.revision`), and the segment must have one of them. `agreed` is what the caller
    knows of the effect. `undoes` says that the change undoes another one. Raises InvalidSegmentKey, SegmentNotFound,
    SegmentChangedMeanwhile, InvalidSegment, UnknownSegment, SegmentCycle, PlanStale, BlastRadius.
    """
    with transaction.atomic():
        segment = _lock_segment(key, expected)
        before = values_of(segment)
        changed = _changed(before, values)
        if not changed:
            return segment
        _take_over(segment, changed)
        if agreed != ANYTHING:
            agreed.check(segment_plan.of_change(segment, before, changed))
        same = Segment.objects.filter(pk=segment.pk, version=segment.version)
        if same.update(version=F("version") + 1, updated_at=Now(), updated_by=by[:200], **changed) != 1:
            raise SegmentChangedMeanwhile
        segment.refresh_from_db()
        flags = uses_of(key).live_flags
        audit_log.record(
            "segment.undo" if undoes else "segment.update", f"segment:{key}", by=by, reason=reason,
            version=segment.version, before={name: before[name] for name in changed}, after=changed,
            flags=flags[:MOST_NAMED], changeNumber=number_of_change(segment), **(undoes.details if undoes else {}),
        )  # fmt: skip
        if any(FIELDS[name].decides for name in changed):
            _tell(segment, flags, by)
    return segment


def plan(*, key: str, values: Mapping[str, Any]) -> SegmentPlan:
    """Return what `update` would do with these values. Nothing is written.

    Raises InvalidSegmentKey, SegmentNotFound, InvalidSegment, UnknownSegment, SegmentCycle.
    """
    segment = segment_called(key)
    before = values_of(segment)
    changed = _changed(before, values)
    _take_over(segment, changed)
    return segment_plan.of_change(segment, before, changed)


def delete(*, key: str, by: str, reason: str = "", expected: Collection[str] = ANY) -> Segment:
    """Delete a segment that nothing uses. Returns it as it was.

    Raises InvalidSegmentKey, SegmentNotFound, SegmentChangedMeanwhile, and SegmentNeeded with what uses it.
    """
    with transaction.atomic():
        segment = _lock_segment(key, expected)
        uses = uses_of(key)
        if uses.in_words:
            raise _needed(key, uses)
        Segment.objects.filter(pk=segment.pk).delete()
        audit_log.record(
            "segment.delete", f"segment:{key}", by=by, reason=reason, before=values_of(segment), after=None
        )
    return segment


def number_of_change(segment: Segment) -> int:
    """Return the number of the latest change of a segment, which history has drawn. There is at least one."""
    former = FormerSegment.objects.filter(segment_id=segment.pk).order_by("-valid_until", "-id")
    return int(former.values_list("replaced_by", flat=True)[0])


def _needed(key: str, uses: Uses) -> SegmentNeeded:
    """Return the error that names those which use a segment themselves."""
    error = SegmentNeeded(f"Rules of {uses.in_words} ask for the segment {key}. Remove it from these rules first.")
    error.members["flags"] = [flag.key for flag in uses.flags if not flag.through]
    error.members["schedules"] = list(uses.schedules)
    error.members["segments"] = [other.key for other in uses.segments if not other.through]
    return error


def _tell(segment: Segment, flags: Collection[str], by: str) -> None:
    """Record for each flag that uses the segment that its definition decides otherwise now."""
    for key, flag_id in Flag.objects.filter(key__in=flags).order_by("key").values_list("key", "pk"):
        notify(
            FLAG_CHANGED, f"{by} has changed the segment {segment.key}, which the rules of the flag {key} ask for.",
            text_below=f"The definition of the flag {key} was changed: rules.",
            subject=f"flag:{key}", page=("admin:flags_flag_change", flag_id),
            flag=key, segment=segment.key, fields=["rules"], by=by,
        )  # fmt: skip


def _lock_segment(key: str, expected: Collection[str]) -> Segment:
    """Take the definitions' lock, and return the segment if it has an expected revision."""
    lock_definitions()
    segment = segment_called(key)
    if "*" not in expected and segment.revision not in expected:
        raise SegmentChangedMeanwhile
    return segment


def _changed(before: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values that differ from those of before."""
    return {name: value for name, value in _normalized(values).items() if differ(before[name], value)}


def _take_over(segment: Segment, changed: Mapping[str, Any]) -> None:
    """Give the segment in memory the new values, and check them."""
    for name, value in changed.items():
        setattr(segment, name, value)
    _check(segment, changed)
    if "rules" in changed:
        check_nesting(segment.key, changed["rules"])


def _normalized(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values in the form in which a segment keeps them."""
    return {name: FIELDS[name].normalized(value) for name, value in values.items()}


def _check(segment: Segment, changed: Collection[str]) -> None:
    """Check each changed field, with its own check and with the lengths of the model. Raises InvalidSegment."""
    errors = {name: messages for name in changed if (messages := _messages_about(segment, name))}
    if errors:
        raise InvalidSegment(" ".join(f"{name}: {' '.join(messages)}" for name, messages in errors.items()))


def _messages_about(segment: Segment, name: str) -> list[str]:
    try:
        FIELDS[name].check(getattr(segment, name))
        segment.clean_fields(exclude={field.name for field in Segment._meta.fields} - {name})
    except ValidationError as error:
        return list(error.messages)
    return []
