"""The admin site's forms to create, change and delete segments."""

from __future__ import annotations

from typing import Any, ClassVar, cast

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from flags.definitions.forms import DistinctTextsField
from flags.errors import SegmentChangedMeanwhile
from flags.segments.fields import FIELDS
from flags.segments.models import Segment
from flags.segments.uses import check_nesting
from flagsite.core.admin.json_text import ReadableJson, TypedJson
from flagsite.core.admin.reason_form import reason_field, reason_line
from flagsite.core.errors import FlagsiteError

NOT_JSON = (
    'This is not JSON. Write rules such as [{"clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}]}], or '
    "[] for none."
)
LISTS = ("tags", "included", "excluded")


def _lines(help_text: str) -> DistinctTextsField:
    return DistinctTextsField(delimiter="\n", widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}), help_text=help_text)


class SegmentForm(forms.ModelForm):
    """A segment, the reason for its change, and the revision and the plan that the person has seen."""

    included = _lines(str(Segment._meta.get_field("included").help_text))
    excluded = _lines(str(Segment._meta.get_field("excluded").help_text))
    tags = DistinctTextsField(widget=UnfoldAdminTextInputWidget(), help_text="Separated by commas.")
    reason = reason_line()
    based_on = forms.CharField(required=False, widget=forms.HiddenInput())
    plan_hash = forms.CharField(required=False, max_length=200, widget=forms.HiddenInput())

    class Meta:
        model = Segment
        fields = "__all__"  # noqa: DJ007 - the fieldsets of the page name them
        field_classes: ClassVar = {"rules": ReadableJson}
        widgets: ClassVar = {
            "description": UnfoldAdminTextareaWidget(attrs={"rows": 3}),
            "rules": UnfoldAdminTextareaWidget(attrs={"rows": 8}),
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "based_on" in self.fields and self.instance.pk:
            self.fields["based_on"].initial = self.instance.revision
        for name in set(LISTS) & set(self.fields):
            cast("DistinctTextsField", self.fields[name]).known = frozenset(self.initial.get(name) or ())
        if "rules" in self.fields:
            self.fields["rules"].error_messages["invalid"] = NOT_JSON
            cast("forms.JSONField", self.fields["rules"]).decoder = TypedJson

    def clean(self) -> dict[str, Any]:
        """Find errors before `flags.segments.service` writes, which checks the same rules again."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        if "rules" in values:
            values["rules"] = values["rules"] or []  # an empty input is None
        if self.instance.pk and values.get("based_on") != Segment.objects.get(pk=self.instance.pk).revision:
            changed = SegmentChangedMeanwhile("Somebody has changed the segment since you opened this page.")
            self.add_error(None, changed.detail)
        for name in set(FIELDS) & set(values):
            try:
                FIELDS[name].check(values[name])
            except ValidationError as error:
                self.add_error(name, error)
        for name in set(LISTS) & set(values) & set(self.initial):
            divided = cast("DistinctTextsField", self.fields[name]).dividing(self.initial[name])
            if divided and values[name] != self.initial[name]:
                self.add_error(name, f"This form cannot show {divided[0]!r} as one text. Change the list with the API.")
        key = self.instance.key if self.instance.pk else values.get("key", "")
        if not self.errors:
            try:
                check_nesting(key, FIELDS["rules"].normalized(values["rules"]))
            except FlagsiteError as error:
                self.add_error("rules", error.detail)
        return values

    def segment_values(self) -> dict[str, Any]:
        """Return the values of the form as `flags.segments.service` expects them."""
        return {name: self.cleaned_data[name] for name in FIELDS if name in self.cleaned_data}


class DeletionForm(forms.Form):
    """The reason for a deletion, and the revision that the person has seen."""

    reason = reason_field()
    based_on = forms.CharField(widget=forms.HiddenInput())

    def __init__(self, segment: Segment, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["based_on"].initial = segment.revision
