"""The admin site's form to ask for a report."""

from __future__ import annotations

from typing import Any

from django import forms

from flagsite.core.admin.reason_form import reason_field
from orgs.access.caller import Caller
from orgs.access.organization_picker import OrganizationField, set_caller


class ReportForm(forms.Form):
    """What a report has beside the arguments of its job: its organization and the reason."""

    organization = OrganizationField(
        required=False,
        help_text="The report is about this organization and everything below it. Type a part of the name, or the key. "
        "Empty: everything that you see.",
    )
    reason = reason_field()

    def __init__(self, caller: Caller, data: Any = None) -> None:
        super().__init__(data)
        set_caller(self, caller)
