"""The field for the reason of a change, on all pages of the admin site that write.

Every page asks for the reason in the same way. It may be empty, except for the operations that cannot be undone.
`flagsite.web.request_context` takes the reason out of each form, so that the code below the pages need not.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

from django import forms
from unfold.widgets import UnfoldAdminTextInputWidget

from flagsite.core.actor import MAX_REASON_LENGTH

OPTIONAL = "Optional. Kept in the audit log."
NEEDED = "Needed, because this cannot be undone. Kept in the audit log."


class Irreversible(StrEnum):
    """The operations that cannot be undone. A person has to give a reason for them, and their buttons are red."""

    PURGE_FLAG = "purge a flag"
    DELETE_ORGANIZATION = "delete an organization and everything below it"
    REVOKE_KEY = "revoke an access key"


def reason_field(operation: Irreversible | None = None, *, help_text: str = "") -> forms.CharField:
    """Return a field of some lines for the reason.

    Args:
        operation: the operation, if it cannot be undone; then the field must not be empty.
        help_text: the words below the field, if other words fit better.
    """
    return forms.CharField(
        max_length=MAX_REASON_LENGTH,
        required=operation is not None,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text=help_text or (NEEDED if operation else OPTIONAL),
    )


def reason_line() -> forms.CharField:
    """Return an optional field of one line, for forms in the style of the theme."""
    return forms.CharField(
        max_length=MAX_REASON_LENGTH, required=False, widget=UnfoldAdminTextInputWidget(), help_text=OPTIONAL
    )


class ReasonForm(forms.Form):
    """The form of an operation that needs nothing, not even a reason."""

    reason = reason_field()


class IrreversibleForm(forms.Form):
    """The form of an operation that cannot be undone, which needs a reason."""

    def __init__(self, operation: Irreversible, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["reason"] = reason_field(operation)
