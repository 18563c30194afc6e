"""The section of an organization's page with its flags at a past moment, and what has changed between two moments."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django import forms
from django.utils.timezone import is_aware, make_aware

from flags.history import past_comparison
from flags.history.moments import Moment, find_moment, present_moment
from flags.states.admin_section import sources
from flagsite.core.errors import FlagsiteError
from orgs.access.caller import Caller
from orgs.tree.admin_sections import OrganizationSection
from orgs.tree.models import Organization

AT, UNTIL = "at", "until"
"""The parameters of the page's address."""


class MomentForm(forms.Form):
    """The moment, and another one with which a person compares it."""

    at = forms.DateTimeField(
        label="Flags at (UTC)", widget=forms.DateTimeInput({"type": "datetime-local", "step": "1"}, "%Y-%m-%dT%H:%M:%S")
    )
    until = forms.DateTimeField(
        label="Changed until (UTC)",
        required=False,
        widget=forms.DateTimeInput({"type": "datetime-local", "step": "1"}, "%Y-%m-%dT%H:%M:%S"),
        help_text="Empty: until now.",
    )


def _past_of(organization: Organization, caller: Caller, query: Mapping[str, str]) -> dict[str, Any]:
    form = MomentForm(query if AT in query else None)
    context: dict[str, Any] = {"organization": organization, "form": form, "moment": None}
    if form.is_bound and form.is_valid():
        try:
            moment = _moment(caller, form.cleaned_data["at"])
            until = form.cleaned_data["until"]
            later = present_moment() if until is None else _moment(caller, until)
            earlier, later = sorted((moment, later), key=lambda one: one.at)
            flags = past_comparison.flags_then(caller, organization, moment)
            differences = past_comparison.compare_moments(caller, organization, earlier, later)
        except FlagsiteError as error:
            form.add_error(None, error.detail)
            return context
        show = sources([*flags, *(here for one in differences for here in (one.left, one.right) if here)], caller)
        context |= {
            "moment": moment,
            "earlier": earlier,
            "later": None if until is None else later,
            "rows": [show(flag) for flag in flags],
            "differences": [(one, show(one.left) if one.left else None, show(one.right)) for one in differences],
        }
    return context


def _moment(caller: Caller, time: datetime) -> Moment:
    """Return the moment of a time. Raises InvalidMoment, BeforeHistory."""
    in_utc = time.astimezone(UTC) if is_aware(time) else make_aware(time, UTC)
    return find_moment(caller, f"{in_utc:%Y-%m-%dT%H:%M:%SZ}")


SECTION = OrganizationSection("admin/flags/organization_past.html", _past_of)
