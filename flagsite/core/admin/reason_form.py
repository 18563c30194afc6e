"""The fields for the reason of a change, on all pages of the admin site that write.

`flagsite.web.request_context` takes the reason out of each form, so that the code below the pages need not.
"""

from __future__ import annotations

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget

from flagsite.core.actor import MAX_REASON_LENGTH


def reason_field(*, required: bool = True, rows: int = 3, help_text: str = "Kept in the audit log.") -> forms.CharField:
    """Return a field for the reason; `rows` is its height in lines of text."""
    widget = forms.Textarea(attrs={"rows": rows})
    return forms.CharField(max_length=MAX_REASON_LENGTH, required=required, widget=widget, help_text=help_text)


def reason_line() -> forms.CharField:
    """Return an optional field of one line, for forms in the style of the theme."""
    return forms.CharField(
        max_length=MAX_REASON_LENGTH,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Optional. Kept in the audit log.",
    )


class ReasonForm(forms.Form):
    """The form of an operation that needs only a reason."""

    reason = reason_field()


class OptionalReasonForm(forms.Form):
    """The form of an operation that needs nothing, not even a reason."""

    reason = reason_field(required=False, rows=2, help_text="Optional. Kept in the audit log.")
