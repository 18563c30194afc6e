"""The flags on an organization's page of the admin site, and the page that sets a flag after a preview."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.core.exceptions import PermissionDenied, ValidationError
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.timezone import is_aware, make_aware

from flags.definitions.models import FLAG_KEY, Flag
from flags.definitions.who_may_define import may_define
from flags.states import comparison, preview
from flags.states.choices import NOT_GIVEN, Choice
from flags.states.comparison import MAX_FLAGS, FlagHere
from flags.states.exemptions import end_exemption_on, exempt_on
from flags.states.organization_settings import locks_named_for, sees
from flags.states.selectors import as_effective, effective_state, effective_states
from flags.states.set_flag import AcceptedChange, reset_flag_on, set_flag_on
from flags.states.setting_rules import Below
from flags.values.checks import canonical_json
from flags.values.types import FlagType
from flagsite.core.actor import current
from flagsite.core.admin.date_time_text import DateTimeText
from flagsite.core.admin.reason_form import reason_field
from flagsite.core.db.clock import now
from flagsite.core.errors import FlagsiteError
from flagsite.core.ids import id_in
from jobs.engine.chains import jobs_of
from orgs.access.caller import Caller
from orgs.access.models import Role
from orgs.access.operator_admin import PREVIEW_OUTDATED, caller_of, fingerprint_of
from orgs.access.organization_picker import OrganizationField, set_caller
from orgs.access.visible_organizations import (
    find_visible_organization,
    hold_visible_organization,
    visible_organizations,
    watch_visible_organization,
)
from orgs.errors import OrganizationNotFound
from orgs.tree.admin_sections import OrganizationSection
from orgs.tree.browser import path_context
from orgs.tree.models import Organization
from orgs.tree.paths import path_names_of

TO_FLAG = "flag"
"""The value of the query parameter `to` with which a person comes from the page of a flag, and goes back to it."""


EXEMPT, NOT_EXEMPT = "exempt", "end"
VALUES: dict[str, bool | str | None] = {
    "true": True, "false": False, "reset": None, EXEMPT: EXEMPT, NOT_EXEMPT: NOT_EXEMPT,
}  # fmt: skip
"""What the field Value of the form means."""


class SwitchForm(forms.Form):
    """The flag, its new value, and the reason."""

    flag = forms.CharField(max_length=255, validators=[FLAG_KEY], help_text="The flag's key, such as new-checkout.")
    enabled = forms.TypedChoiceField(
        label="Value",
        choices=[
            ("true", "on"),
            ("false", "off"),
            ("reset", "as inherited"),
            ("exempt", "exempt from the lock above"),
            ("end", "no longer exempt"),
        ],
        coerce=VALUES.get,
        empty_value=None,
    )
    variant = forms.CharField(
        required=False,
        max_length=255,
        help_text="For a flag with variants: the key of the variant that counts where it is on. Empty: the default.",
    )
    custom = forms.CharField(
        label="Custom value",
        required=False,
        help_text='In place of a variant: a value in JSON, such as "blue" or {"limit": 10}.',
    )
    below = forms.ChoiceField(
        label="Settings below",
        choices=[(Below.KEEP, "stay"), (Below.OVERWRITE, "end"), (Below.LOCK, "do not count: lock the flag here")],
        initial=Below.KEEP,
        required=False,
        help_text="Below a lock nobody can set or reset the flag until the lock is gone.",
    )
    only_here = forms.BooleanField(
        label="Here only",
        required=False,
        help_text="The value does not count for the organizations below.",
    )
    expires_at = DateTimeText(
        label="Ends at",
        required=False,
        help_text="In UTC. The setting or the exemption ends by itself then. Empty: it stays.",
    )
    reason = reason_field()

    def of_flag(self, flag: Flag) -> None:
        """Ask for this flag only: without a field for it, and with the variants that it has."""
        self.fields["flag"].widget = forms.HiddenInput()
        if flag.type == FlagType.BOOLEAN:
            del self.fields["variant"], self.fields["custom"]
            return
        keys = [(each["key"], each["key"]) for each in flag.variants]
        self.fields["variant"] = forms.ChoiceField(
            choices=[("", f"the default: {flag.default_variant}"), *keys],
            required=False,
            help_text="The variant that counts where the flag is on.",
        )

    def clean_custom(self) -> Any:
        """Return the custom value; NOT_GIVEN if the field is empty. Raises ValidationError."""
        text = self.cleaned_data["custom"]
        if not text:
            return NOT_GIVEN
        try:
            return json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ValidationError(f'This is not JSON: {error}. A text needs quotes: "blue".') from error

    def clean_expires_at(self) -> datetime | None:
        """Return the time in UTC. Raises ValidationError if it has passed."""
        time: datetime | None = self.cleaned_data["expires_at"]
        if time is None:
            return None
        time = time if is_aware(time) else make_aware(time, UTC)
        if time <= now():
            raise ValidationError("This time has passed. Write a time in the future.")
        return time

    def clean_below(self) -> Below:
        """Return what happens to the settings below. Requests of pages without this field overwrite them."""
        return Below(self.cleaned_data["below"] or Below.OVERWRITE)

    def clean(self) -> dict[str, Any]:
        values = super().clean() or self.cleaned_data
        if values.get("below") is Below.LOCK and "enabled" in values and not isinstance(values["enabled"], bool):
            self.add_error("below", "A lock needs a value: choose on or off.")
        sets = isinstance(values.get("enabled"), bool)
        custom = values.get("custom", NOT_GIVEN)
        has_custom = custom is not NOT_GIVEN
        if (values.get("variant") or has_custom) and values.get("enabled") is not True:
            self.add_error("enabled", "A variant or a custom value turns the flag on: choose on.")
        if values.get("variant") and has_custom:
            self.add_error("custom", "Write either a variant or a custom value.")
        values["choice"] = None
        if sets:
            values["choice"] = Choice(
                None if values.get("variant") or has_custom else values["enabled"],
                values.get("variant") or None,
                custom,
            )
        if values.get("only_here") and (not sets or values.get("below") is not Below.KEEP):
            self.add_error("only_here", "Only a value counts here only, and the settings below stay.")
        if values.get("expires_at") and not sets and values.get("enabled") != EXEMPT:
            self.add_error("expires_at", "Only a value, a lock or an exemption ends by itself.")
        return values


@dataclass(frozen=True, slots=True)
class ShownFlag:
    """A flag on the page: what it is here, and where its value was set, as a link if the caller may see that place."""

    here: FlagHere
    source: str
    source_id: int | None


class CompareForm(forms.Form):
    """The organization with which a person compares. The name of the field is a word of Python."""

    def __init__(self, caller: Caller, data: Any) -> None:
        super().__init__(data)
        self.fields["with"] = OrganizationField(label="Compare with", caller=caller)


def _flags_of(organization: Organization, caller: Caller, query: Mapping[str, str]) -> dict[str, Any]:
    states = as_effective(organization, effective_states(organization)[:MAX_FLAGS])
    flags = comparison.flags_of(organization, states)
    form = CompareForm(caller, query if "with" in query else None)
    other = form.cleaned_data["with"] if form.is_bound and form.is_valid() else None
    differences = comparison.compare(organization, other) if other is not None else []
    compared = [here for one in differences for here in (one.left, one.right)]
    show = sources([*flags, *compared], caller)
    jobs = set(jobs_of(caller).filter(pk__in={state.job_id for state in states}).values_list("pk", flat=True))
    return {
        "organization": organization,
        "rows": [show(here) for here in flags],
        "own": sum(here.own is not None for here in flags),
        "jobs": jobs,
        "may_set": caller.may(Role.EDITOR),
        "form": form,
        "other": other,
        "differences": [(one, show(one.left), show(one.right)) for one in differences],
    }


def sources(flags: Iterable[FlagHere], caller: Caller) -> Callable[[FlagHere], ShownFlag]:
    """Return a function that shows one of these flags with the path of its source, after two queries for all."""
    ids = {here.state.source_organization_id for here in flags} - {None}
    visible = set(visible_organizations(caller).filter(pk__in=ids).values_list("pk", flat=True))
    paths = path_names_of(visible, top_id=caller.organization_id)
    hidden = "an ancestor" if caller.organization_id is not None else "a deleted organization"

    def show(here: FlagHere) -> ShownFlag:
        source_id = here.state.source_organization_id
        if source_id is None:
            return ShownFlag(here, "default of the flag", None)
        if source_id == here.state.organization_id:
            return ShownFlag(here, "the organization itself", None)
        return (
            ShownFlag(here, " › ".join(paths[source_id]), source_id)
            if source_id in paths
            else ShownFlag(here, hidden, None)
        )

    return show


SECTION = OrganizationSection("admin/flags/organization_flags.html", _flags_of)


class ChoiceForm(forms.Form):
    """The organization on which a person wants to set a flag."""

    organization = OrganizationField(
        help_text="Type a part of the name, or the key. Everything below it gets the value too."
    )

    def __init__(self, caller: Caller, data: Any) -> None:
        super().__init__(data)
        set_caller(self, caller)


def choose_view(admin: Any, request: HttpRequest, flag: Flag) -> HttpResponse:
    """Ask for an organization, then lead to the page that sets the flag there."""
    caller = caller_of(request)
    if caller is None or not caller.may(Role.EDITOR):
        raise PermissionDenied
    form = ChoiceForm(caller, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        address = reverse("admin:flags_flag_switch", args=[form.cleaned_data["organization"].pk])
        return HttpResponseRedirect(f"{address}?{urlencode({'flag': flag.key})}")
    context = {"opts": Flag._meta, "title": f"Set {flag.key} on an organization", "flag": flag, "form": form}
    request.current_app = admin.admin_site.name
    frame = admin.admin_site.each_context(request)
    return TemplateResponse(request, "admin/flags/choose_organization.html", frame | context)


def switch_view(admin: Any, request: HttpRequest, organization_id: str) -> HttpResponse:
    """Set a flag on an organization: show a form, then a preview, then set the flag."""
    caller = caller_of(request)
    if caller is None or not caller.may(Role.EDITOR):
        raise PermissionDenied
    try:
        organization = find_visible_organization(caller, id_in(organization_id) or 0)
    except OrganizationNotFound as error:
        raise Http404 from error
    initial = {"flag": request.GET.get("flag", ""), "enabled": request.GET.get("enabled", "true")}
    form = SwitchForm(request.POST if request.method == "POST" else None, initial=initial)
    came_from_flag = Flag.objects.filter(key=initial["flag"]).first() if request.GET.get("to") == TO_FLAG else None
    if came_from_flag:
        form.of_flag(came_from_flag)
    what = came_from_flag.key if came_from_flag else "a flag"
    context: dict[str, Any] = {"form": form, "title": f"Set {what} on {organization.name}", "flag": came_from_flag}
    context["in_dialog"] = _is_in_dialog(request)
    if request.method == "POST" and form.is_valid():
        try:
            context |= _preview_context(caller, organization, form.cleaned_data)
            if request.POST.get("shown") == context["fingerprint"]:
                return _set(admin, request, caller, organization, form.cleaned_data)
            if "shown" in request.POST:
                form.add_error(None, PREVIEW_OUTDATED)
        except FlagsiteError as error:
            form.add_error(None, error.detail)
    frame = {**admin.admin_site.each_context(request), "opts": Organization._meta}
    request.current_app = admin.admin_site.name
    return TemplateResponse(request, "admin/flags/switch.html", frame | context | path_context(caller, organization))


def _preview_context(caller: Caller, organization: Organization, values: dict[str, Any]) -> dict[str, Any]:
    """Return the preview and the fingerprint of the request. Raises FlagsiteError if the flag cannot be set.

    The fingerprint does not contain the figures of the preview. While a propagation runs, the figures change all the
    time, and nobody could confirm a change before the job has ended.
    """
    with locks_named_for(caller), watch_visible_organization(caller, organization.pk) as found:
        if values["enabled"] in (EXEMPT, NOT_EXEMPT):
            result = preview.exemption(found, values["flag"], is_exempt=values["enabled"] == EXEMPT)
        else:
            result = preview.switch(
                found, values["flag"], choice=values["choice"], below=values["below"],
                only_here=values["only_here"], may_define=may_define(caller),
            )  # fmt: skip
    fingerprint = fingerprint_of(
        organization.pk, values["flag"], values["enabled"], _choice_in_words(values), values["below"].value,
        values["only_here"], str(values["expires_at"]), result.creates,
    )  # fmt: skip
    return {
        "preview": result, "flag_key": values["flag"], "enabled": values["enabled"],
        "choice": _choice_in_words(values), "below": values["below"].value,
        "only_here": values["only_here"], "expires_at": values["expires_at"], "fingerprint": fingerprint,
        "notes": result.notes(caller),
    }  # fmt: skip


def _choice_in_words(values: Mapping[str, Any]) -> str:
    """Return what the form sets, for people: on, off, the key of a variant, or a value in JSON."""
    choice: Choice | None = values["choice"]
    if choice is None:
        return ""
    if choice.value is not NOT_GIVEN:
        return canonical_json(choice.value)
    return choice.variant or ("on" if choice.enabled else "off")


def _set(
    admin: Any, request: HttpRequest, caller: Caller, organization: Organization, values: dict[str, Any]
) -> HttpResponse:
    request_of_change = {
        "flag_key": values["flag"], "requested_by": caller.name, "correlation_id": current().correlation_id,
        "reason": values["reason"],
    }  # fmt: skip
    below: Below = values["below"]
    accepted: AcceptedChange | None
    with locks_named_for(caller), hold_visible_organization(caller, organization.pk) as held:
        if values["enabled"] == EXEMPT:
            accepted = exempt_on(held, may_lift=partial(sees, caller), until=values["expires_at"], **request_of_change)
        elif values["enabled"] == NOT_EXEMPT:
            accepted = end_exemption_on(held, **request_of_change)
        elif values["enabled"] is None:
            accepted = reset_flag_on(held, subtree=below is Below.OVERWRITE, **request_of_change)
        else:
            accepted = set_flag_on(
                held, choice=values["choice"], below=below, only_here=values["only_here"],
                expires_at=values["expires_at"], may_define=may_define(caller), **request_of_change,
            )  # fmt: skip
    _tell(admin, request, organization, values, accepted)
    return _leave(request, _address_of_effect(request, organization, values["flag"], accepted))


def _tell(
    admin: Any,
    request: HttpRequest,
    organization: Organization,
    values: dict[str, Any],
    accepted: AcceptedChange | None,
) -> None:
    if accepted is None or accepted.job is None:
        state = effective_state(organization=organization, flag_key=values["flag"])
        text = f"{values['flag']} is {state.in_words} now in {organization.name}. {state.note}".strip()
    else:
        verb = "locks" if values["below"] is Below.LOCK else "switches"
        does = {
            True: f"{verb} {values['flag']} {_choice_in_words(values)}",
            False: f"{verb} {values['flag']} off",
            None: f"resets {values['flag']}",
            EXEMPT: f"lifts the lock of {values['flag']}",
            NOT_EXEMPT: f"ends the exemption from the lock of {values['flag']}",
        }[values["enabled"]]
        text = f"Job {accepted.job.pk} {does} in {organization.name} and everything below it."
    admin.message_user(request, text)


def _address_of_effect(
    request: HttpRequest, organization: Organization, flag_key: str, accepted: AcceptedChange | None
) -> str:
    """Return the address of the page on which the person sees what the change does."""
    if request.GET.get("to") == TO_FLAG:
        address = reverse("admin:flags_flag_change", args=[Flag.objects.get(key=flag_key).pk])
        return f"{address}?{urlencode({'below': organization.pk})}"
    if accepted is None or accepted.job is None:
        return reverse("admin:orgs_organization_change", args=[organization.pk])
    return reverse("admin:jobs_job_change", args=[accepted.job.pk])


def _leave(request: HttpRequest, address: str) -> HttpResponse:
    """Lead to another page, also from a dialog, whose answers htmx puts into the page."""
    return HttpResponse(headers={"HX-Redirect": address}) if _is_in_dialog(request) else HttpResponseRedirect(address)


def _is_in_dialog(request: HttpRequest) -> bool:
    """Return whether htmx puts the answer into the dialog of a page."""
    return "HX-Request" in request.headers
