"""The admin site's form to schedule a change."""

from __future__ import annotations

from argparse import ArgumentTypeError
from datetime import datetime, timedelta
from typing import Any

from django import forms
from django.core.exceptions import ValidationError

from flags.definitions.models import FLAG_KEY
from flags.schedules import plan as planning
from flags.schedules import schedulable
from flags.schedules.models import FlagSchedule
from flags.schedules.plan import ScheduleRequest
from flags.schedules.recurrence import MAX_EXPRESSION_LENGTH
from flags.schedules.steps import Step, plan_steps
from flags.schedules.time_parsing import parse_time
from flags.states.setting_rules import Below
from flagsite.core.actor import current
from flagsite.core.admin.date_time_text import DateTimeText
from flagsite.core.admin.reason_form import reason_field
from flagsite.core.console.arguments import duration
from orgs.access.caller import Caller
from orgs.access.organization_picker import OrganizationField

VALUES: dict[str, bool | None] = {"true": True, "false": False, "reset": None}
"""What the field Value of the form means. A reset has no value."""
HERE_ONLY = "here"
BELOW_CHOICES = [
    (Below.OVERWRITE.value, "end"),
    (Below.KEEP.value, "stay"),
    (Below.LOCK.value, "do not count: lock the flag here"),
    (HERE_ONLY, "are not concerned: the value counts here only"),
]


STEPS = "1 %\n10 % after 1d\n100 % after 3d"


def steps_from_lines(text: str) -> list[Step]:
    """Return the steps that lines such as `10 % after 1d` describe. Raises ValidationError."""
    return [_step(line) for line in filter(None, (each.strip() for each in text.splitlines()))]


def _step(line: str) -> Step:
    percentage, _, wait = (part.strip() for part in line.partition("after"))
    try:
        share = float(percentage.removesuffix("%").strip())
        return Step({"enabled": True, "rolloutPercentage": share}, duration(wait) if wait else timedelta(0))
    except (ValueError, ArgumentTypeError) as error:
        raise ValidationError(f"{line!r} is not a step such as 10 % after 1d.") from error


class ScheduleForm(forms.Form):
    """The flag, the organization, the value, the time and the reason."""

    flag = forms.CharField(max_length=255, validators=[FLAG_KEY], help_text="The flag's key, such as new-checkout.")
    organization = OrganizationField(
        required=False,
        help_text="Type a part of the name, or the key. The change also reaches everything below it. Empty: the flag's "
        "definition changes.",
    )
    enabled = forms.TypedChoiceField(
        label="Value", choices=[("true", "on"), ("false", "off"), ("reset", "as inherited")], coerce=VALUES.get,
        empty_value=None,
    )  # fmt: skip
    below = forms.ChoiceField(
        label="Settings below", choices=BELOW_CHOICES, initial=Below.OVERWRITE, required=False,
        help_text="For an organization only. Below a lock nobody can set or reset the flag until the lock is gone.",
    )  # fmt: skip
    rollout = forms.DecimalField(
        label="Rollout percentage", required=False, min_value=0, max_value=100, decimal_places=3,
        help_text="For the definition only. Empty: the percentage does not change.",
    )  # fmt: skip
    steps = forms.CharField(
        label="Or a rollout in steps", required=False, widget=forms.Textarea(attrs={"rows": 3, "placeholder": STEPS}),
        help_text="For the definition only, instead of a percentage: a step in each line, with the wait before it. The "
        "first step comes at the time below. If a step fails or is cancelled, the later ones do not come.",
    )  # fmt: skip
    at = DateTimeText(label="At", required=False)
    back_at = DateTimeText(
        label="Off again at", required=False, help_text="Only with the value on: the flag is on between the two times."
    )
    cron = forms.CharField(
        label="Or again and again (cron)", max_length=MAX_EXPRESSION_LENGTH, required=False,
        help_text="Instead of a time: minute, hour, day of month, month, day of week, such as 0 9 * * mon-fri.",
    )  # fmt: skip
    time_zone = forms.CharField(
        initial="UTC", max_length=64, help_text="The time zone of these times, such as Europe/Oslo."
    )
    reason = reason_field()

    def clean(self) -> dict[str, Any]:
        values: dict[str, Any] = super().clean() or {}
        if bool(values.get("at")) == bool(values.get("cron")) and not {"at", "cron"} & self.errors.keys():
            raise ValidationError("Give either a time or a cron expression.")
        if values.get("rollout") is not None and values.get("organization"):
            raise ValidationError("A rollout percentage belongs to the definition, not to an organization.")
        if values.get("steps"):
            self._clean_steps(values)
        if values.get("back_at") and (not values.get("at") or not values.get("enabled")):
            raise ValidationError("The time of switching off needs a time of switching on and the value on.")
        if "enabled" in values and values["enabled"] is None and not values.get("organization"):
            self.add_error("enabled", "Only the value of an organization is inherited.")
        if "enabled" in values and values["enabled"] is None and values.get("below") in {Below.LOCK.value, HERE_ONLY}:
            self.add_error("below", "A reset has no value. The settings below end, or they stay.")
        if values.get("back_at") and values.get("rollout") is not None:
            raise ValidationError(
                "A pair of times can only turn the flag on and off. Schedule the percentage separately."
            )
        return values

    def _clean_steps(self, values: dict[str, Any]) -> None:
        """Check that the steps stand alone, and read them."""
        if values.get("organization") or values.get("rollout") is not None or values.get("back_at"):
            self.add_error("steps", "Steps belong to the definition, and stand alone beside the time.")
        if values.get("cron"):
            self.add_error("steps", "Steps come once, at a time.")
        if not values.get("enabled"):
            self.add_error("enabled", "Steps turn the flag on. Choose on, or schedule the change without steps.")
        try:
            values["steps"] = steps_from_lines(values["steps"])
        except ValidationError as error:
            self.add_error("steps", error)

    def plan(self, caller: Caller) -> list[FlagSchedule]:
        """Schedule the change of the form.

        Raises FlagNotFound, FlagPurging, OrganizationNotFound, OrganizationAmbiguous, OutsideOfYourSubtree,
        InvalidSchedule.
        """
        values = self.cleaned_data
        zone: str = values["time_zone"]
        organization_id = values["organization"].pk if values["organization"] else None
        request = ScheduleRequest(
            values["flag"], organization_id, values["reason"], correlation_id=current().correlation_id
        )
        how = self._how() if organization_id is not None else {}
        wanted: dict[str, Any] = {"enabled": values["enabled"], **how}
        if values["enabled"] is None:
            wanted = {"reset": True, "subtree": values["below"] != Below.KEEP}
        if values["rollout"] is not None:
            wanted["rolloutPercentage"] = float(values["rollout"])
        if values["cron"]:
            recurring = planning.plan_recurring(caller, request, wanted=wanted, cron=values["cron"], time_zone=zone)
            return [recurring]
        at: datetime = parse_time(values["at"], zone)
        if values["steps"]:
            return plan_steps(caller, request, values["steps"], at=at)
        if values["back_at"]:
            back_at = parse_time(values["back_at"], zone)
            return list(planning.plan_pair(caller, request, on_at=at, off_at=back_at, how=how))
        return [planning.plan_once(caller, request, wanted=wanted, at=at)]

    def _how(self) -> dict[str, str]:
        """Return what the change says of the settings below. The default is not written into the change."""
        chosen = self.cleaned_data["below"] or Below.OVERWRITE.value
        if chosen == HERE_ONLY:
            return {"below": Below.KEEP.value, "reach": schedulable.HERE}
        return {} if chosen == Below.OVERWRITE else {"below": chosen}
