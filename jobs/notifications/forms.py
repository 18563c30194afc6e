"""The admin site's forms of subscriptions."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from django import forms

from flagsite.core.admin.reason_form import ReasonForm, reason_field
from jobs.notifications.channels.all_channels import WAYS
from jobs.notifications.events import concerns_organizations
from jobs.notifications.models import LONGEST_DIGEST, Subscription
from jobs.notifications.subscriptions import LONGEST_NAME, LONGEST_TARGET, Wish, events_told_to
from orgs.access.caller import Caller
from orgs.access.organization_picker import OrganizationField


def _name() -> forms.CharField:
    return forms.CharField(max_length=LONGEST_NAME, help_text="What the subscription is for.")


def _channel() -> forms.ChoiceField:
    outbox = {way.setting: f" (kept in the outbox: no {way.setting})" for way in WAYS.values() if not way.is_set()}
    return forms.ChoiceField(
        choices=[(channel.value, f"{channel.label}{outbox.get(way.setting, '')}") for channel, way in WAYS.items()]
    )


def events_field(summaries: Mapping[str, str], *, notes_scope: bool = False) -> forms.MultipleChoiceField:
    """Return the field of the events that can be chosen. It may note which are not told to an organization."""
    notes = {name: " Not with an organization." for name in summaries if not concerns_organizations(name)}
    choices = [
        (name, f"{name}: {summary}{notes.get(name, '') if notes_scope else ''}") for name, summary in summaries.items()
    ]
    return forms.MultipleChoiceField(choices=choices, widget=forms.CheckboxSelectMultiple)


def _digest(*, required: bool) -> forms.IntegerField:
    return forms.IntegerField(
        required=required,
        min_value=0,
        max_value=LONGEST_DIGEST,
        label="Wait for further events (seconds)",
        help_text="All events of this time are one message." + ("" if required else " Empty: 60, and 0 for a webhook."),
    )


class SubscriptionForm(forms.Form):
    """The fields of a new subscription."""

    name = _name()
    channel = forms.ChoiceField()
    target = forms.CharField(
        max_length=LONGEST_TARGET,
        label="Address",
        help_text="An e-mail address, an https URL, a telephone number such as +4712345678, the name of a chat, or the "
        "JSON of a browser's PushSubscription.",
    )
    person = forms.CharField(
        required=False,
        max_length=150,
        label="Person (username)",
        help_text="Optional. Then nothing is told that this person may not see.",
    )

    def __init__(self, caller: Caller, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["channel"] = _channel()
        self.fields["events"] = events_field(events_told_to(caller.organization_id, None), notes_scope=True)
        self.fields["organization"] = OrganizationField(
            caller=caller,
            required=False,
            help_text="Type a part of the name, or the key. Only events of this organization and below it are told. "
            "Empty: all that you see.",
        )
        self.fields["digest_seconds"] = _digest(required=False)
        self.fields["reason"] = reason_field()

    @property
    def wish(self) -> Wish:
        """What the valid form asks for."""
        values = self.cleaned_data
        organization = values["organization"]
        return Wish(
            name=values["name"],
            channel=values["channel"],
            target=values["target"],
            events=values["events"],
            person=values["person"],
            organization=organization.pk if organization else None,
            digest_seconds=values["digest_seconds"],
        )


class RotateSecretForm(ReasonForm):
    """The form to give a webhook a new secret."""

    field_order = ("overlap", "reason")
    overlap = forms.TypedChoiceField(
        label="The former secret signs too for",
        choices=[("0", "no time: it ends at once"), ("1", "1 hour"), ("24", "1 day"), ("168", "1 week"),
                 ("720", "30 days")],
        initial="24",
        coerce=lambda hours: timedelta(hours=int(hours)),
    )  # fmt: skip


class SubscriptionChangeForm(forms.Form):
    """What of a subscription can be changed."""

    name = _name()

    def __init__(self, subscription: Subscription, *args: Any, **kwargs: Any) -> None:
        initial = {
            "name": subscription.name,
            "events": subscription.events,
            "digest_seconds": subscription.digest_seconds,
            "is_active": not subscription.ended_because,
        }
        super().__init__(*args, **kwargs | {"initial": initial})
        told = events_told_to(subscription.organization_id, subscription.person_id)
        never = {name: "It is never told." for name in subscription.events if name not in told}
        self.fields["events"] = events_field(told | never)
        self.fields["digest_seconds"] = _digest(required=True)
        self.fields["is_active"] = forms.BooleanField(required=False, label="Send messages")
        self.fields["reason"] = reason_field()

    @property
    def values(self) -> dict[str, Any]:
        """The fields that the person has changed."""
        return {name: self.cleaned_data[name] for name in self.changed_data if name != "reason"}
