"""The field for the reason of an operation, on the admin site's pages that ask for a confirmation."""

from __future__ import annotations

from django import forms

from flagsite.core.actor import MAX_REASON_LENGTH


def reason_field(*, required: bool = True, rows: int = 3, help_text: str = "Kept in the audit log.") -> forms.CharField:
    """Return a field for the reason; `rows` is its height in lines of text."""
    widget = forms.Textarea(attrs={"rows": rows})
    return forms.CharField(max_length=MAX_REASON_LENGTH, required=required, widget=widget, help_text=help_text)


class ReasonForm(forms.Form):
    """The form of an operation that needs only a reason."""

    reason = reason_field()
