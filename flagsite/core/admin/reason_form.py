"""The field in which a person says why, on the pages of the admin site that ask before an operation."""

from __future__ import annotations

from django import forms

from flagsite.core.actor import LONGEST_REASON


def reason_field(*, required: bool = True, rows: int = 3, help_text: str = "Kept in the audit log.") -> forms.CharField:
    """A field for the reason; `rows` is its height in lines of text."""
    widget = forms.Textarea(attrs={"rows": rows})
    return forms.CharField(max_length=LONGEST_REASON, required=required, widget=widget, help_text=help_text)


class ReasonForm(forms.Form):
    """The form of an operation that needs a reason and nothing else."""

    reason = reason_field()
