"""The admin site's form that creates a batch."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms

from flagsite.core.admin.json_text import TypedJson
from flagsite.core.admin.reason_form import reason_field
from flagsite.core.api.input import WriteInput
from flagsite.core.errors import FlagsiteError
from jobs.batches.models import FailurePolicy
from jobs.batches.requests import checked
from jobs.batches.serializers import AddMembersInput, BatchInput
from jobs.engine.kinds import enqueueable_kinds
from orgs.tree.references import LONGEST

MEMBERS_EXAMPLE = '[\n  {"kind": "cleanup", "name": "tonight", "runAt": "2030-01-31T01:00:00Z"}\n]'
LIST_FORM = (
    "A JSON list with one object for each member, as in the body of POST /v1/queue/batches: kind, arguments, "
    "organizationId, name, required, runAt."
)


class JsonText(forms.JSONField):
    """A field for JSON, which is empty at first."""

    def __init__(self, *, rows: int, example: str, **kwargs: Any) -> None:
        area = forms.Textarea(attrs={"rows": rows, "placeholder": example, "spellcheck": "false"})
        super().__init__(widget=area, decoder=TypedJson, **kwargs)

    def prepare_value(self, value: Any) -> Any:
        return "" if value is None else super().prepare_value(value)


def _members_field() -> JsonText:
    return JsonText(rows=8, example=MEMBERS_EXAMPLE, help_text=LIST_FORM)


class _DocumentForm(forms.Form):
    """A form that makes a JSON document. A valid form has the attribute `values` for `jobs.batches.requests`."""

    form: ClassVar[type[WriteInput]]
    """The form of the body of the API to which the document belongs."""

    def document(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the document that the valid fields make."""
        return {"members": values["members"]}

    def clean(self) -> dict[str, Any]:
        """Check the document by the rules of the API."""
        values = super().clean() or {}
        if not self.errors:
            try:
                self.values = checked(self.document(values), self.form)
            except FlagsiteError as error:
                self.add_error("members", error.detail)
        return values


class MembersForm(_DocumentForm):
    """The members that a person adds to a batch."""

    form = AddMembersInput
    members = _members_field()
    reason = reason_field()


class BatchForm(_DocumentForm):
    """The fields of a new batch."""

    form = BatchInput
    name = forms.CharField(max_length=200, help_text="What the batch is for, in a few words.")
    members = _members_field()
    organization = forms.CharField(
        required=False,
        max_length=LONGEST,
        label="Organization (key or id)",
        help_text="Optional. All members work for it or below it.",
    )
    failure_policy = forms.ChoiceField(
        choices=FailurePolicy.choices, label="After a failure", help_text="What happens to the other members."
    )
    on_finish = forms.ChoiceField(
        required=False,
        label="Kind of the job that follows",
        help_text="Optional. It begins when all members have ended.",
    )
    on_finish_arguments = JsonText(
        rows=2,
        example="{}",
        required=False,
        label="Its arguments",
        help_text="Optional. A JSON object that fits the schema of the kind.",
    )
    reason = reason_field()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        kinds = [(kind.name, f"{kind.name}: {kind.summary}") for kind in enqueueable_kinds()]
        choice: Any = self.fields["on_finish"]
        choice.choices = [("", "No job follows"), *kinds]

    def document(self, values: dict[str, Any]) -> dict[str, Any]:
        document = super().document(values) | {"name": values["name"], "failurePolicy": values["failure_policy"]}
        if values["organization"].strip():
            document["organizationId"] = values["organization"].strip()
        if values["on_finish"]:
            document["onFinish"] = {"kind": values["on_finish"], "arguments": values["on_finish_arguments"] or {}}
        return document
