"""The form of the admin site with which a change is scheduled."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.dateparse import parse_datetime

from flags.definitions.models import FLAG_KEY
from flags.errors import InvalidSchedule
from flags.schedules import plan as planning
from flags.schedules.models import FlagSchedule
from flags.schedules.plan import Subject
from flags.schedules.recurrence import LONGEST_EXPRESSION
from flags.schedules.time_parsing import parse_time
from flagsite.core.actor import current
from flagsite.core.admin.reason_form import reason_field
from orgs.access.caller import Caller
from orgs.access.organizations import organization_called, organization_for
from orgs.errors import OrganizationNotFound


class Moment(forms.CharField):
    """A date and time as the browser's picker writes it, or with an offset."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"})

    def clean(self, value: Any) -> Any:
        text = super().clean(value)
        if not text:
            return None
        try:
            moment = parse_datetime(text)
        except ValueError:
            moment = None
        if moment is None:
            raise ValidationError("Not a date and time.")
        return moment


class ScheduleForm(forms.Form):
    """Which flag, where, what, when and why."""

    flag = forms.CharField(max_length=255, validators=[FLAG_KEY], help_text="Its key, such as new-checkout.")
    organization = forms.CharField(
        max_length=255, required=False, help_text="Key or id; all below it too. Empty: the flag's own definition."
    )
    enabled = forms.TypedChoiceField(
        label="Value", choices=[("true", "on"), ("false", "off")], coerce=lambda text: text == "true"
    )
    rollout = forms.DecimalField(
        label="Rollout percentage", required=False, min_value=0, max_value=100, decimal_places=3,
        help_text="Of the definition only; empty leaves it as it is.",
    )  # fmt: skip
    at = Moment(label="At", required=False)
    back_at = Moment(label="Off again at", required=False, help_text="With the value on, for a pair of on and off.")
    cron = forms.CharField(
        label="Or again and again, at (cron)", max_length=LONGEST_EXPRESSION, required=False,
        help_text="Minute, hour, day of month, month, day of week: 0 9 * * mon-fri. Instead of a time.",
    )  # fmt: skip
    time_zone = forms.CharField(initial="UTC", max_length=64, help_text="Of these times, such as Europe/Oslo.")
    reason = reason_field()

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if bool(values.get("at")) == bool(values.get("cron")) and not {"at", "cron"} & self.errors.keys():
            raise ValidationError("Give either a time or a cron expression.")
        if values.get("rollout") is not None and values.get("organization"):
            raise ValidationError("A rollout percentage belongs to the definition, not to an organization.")
        if values.get("back_at") and (not values.get("at") or not values.get("enabled")):
            raise ValidationError("Off again goes with a time and the value on.")
        if values.get("back_at") and values.get("rollout") is not None:
            raise ValidationError("A pair switches on and off; schedule the percentage by itself.")
        return values

    def plan(self, caller: Caller) -> list[FlagSchedule]:
        """Schedule what the form says.

        Raises FlagNotFound, OrganizationNotFound, OutsideOfYourSubtree, InvalidSchedule.
        """
        values = self.cleaned_data
        zone: str = values["time_zone"]
        place = _place(caller, values["organization"]) if values["organization"] else None
        subject = Subject(values["flag"], place, values["reason"], correlation_id=current().correlation_id)
        wanted: dict[str, Any] = {"enabled": values["enabled"]}
        if values["rollout"] is not None:
            wanted["rolloutPercentage"] = float(values["rollout"])
        if values["cron"]:
            recurring = planning.plan_recurring(caller, subject, wanted=wanted, cron=values["cron"], time_zone=zone)
            return [recurring]
        at: datetime = parse_time(values["at"], zone)
        if values["back_at"]:
            pair = planning.plan_pair(caller, subject, on_at=at, off_at=parse_time(values["back_at"], zone))
            return list(pair)
        return [planning.plan_once(caller, subject, wanted=wanted, at=at)]


def _place(caller: Caller, key_or_id: str) -> int:
    try:
        return int(organization_for(caller, organization_called(key_or_id).pk).pk)
    except OrganizationNotFound:
        raise InvalidSchedule(f"There is no organization with the key or id {key_or_id!r} that you may see.") from None
