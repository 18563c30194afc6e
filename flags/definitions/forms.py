"""The admin site's forms with which people define, archive and purge flags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from django import forms
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import ValidationError
from django.db import models
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from flags.definitions import prerequisites, service
from flags.definitions.fields import FIELDS
from flags.definitions.models import Flag
from flags.errors import FlagChangedMeanwhile
from flagsite.core.actor import MAX_REASON_LENGTH
from flagsite.core.admin.reason_form import reason_field
from flagsite.core.errors import FlagsiteError
from jobs.engine.models import Job


def _fields_of_type(*types: type[models.Field[Any, Any]]) -> list[str]:
    return [field.name for field in Flag._meta.fields if field.name in FIELDS and isinstance(field, types)]


class DistinctTextsField(SimpleArrayField):
    """Texts with a delimiter between each two; blank ones are left out, and a text that is in it twice counts once."""

    def __init__(self, **options: Any) -> None:
        super().__init__(forms.CharField(required=False), required=False, **options)

    def clean(self, value: Any) -> list[str]:
        return list(dict.fromkeys(text for text in super().clean(value) if text))


class FlagForm(forms.ModelForm):
    """A definition, why it changes, and the revision that the person has looked at."""

    tags = DistinctTextsField(widget=UnfoldAdminTextInputWidget(), help_text="Separated by commas.")
    whitelist = DistinctTextsField(
        delimiter="\n",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text="Targeting keys that always have it, one on a line.",
    )
    reason = forms.CharField(
        max_length=MAX_REASON_LENGTH,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Kept in the audit log.",
    )
    based_on = forms.CharField(required=False, widget=forms.HiddenInput())

    class Meta:
        model = Flag
        fields = "__all__"  # noqa: DJ007 - the page says which
        widgets: ClassVar = {
            name: UnfoldAdminTextareaWidget(attrs={"rows": 3})
            for name in _fields_of_type(models.TextField, models.JSONField)
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "based_on" in self.fields and self.instance.pk:
            self.fields["based_on"].initial = self.instance.revision
        if "salt" in self.fields:
            self.fields["salt"].required = False

    def clean_salt(self) -> str:
        """Empty: the one that it has, which for a flag from before there were salts is none."""
        return str(self.cleaned_data["salt"] or self.initial.get("salt") or self.instance.salt)

    def clean(self) -> dict[str, Any]:
        """Say beforehand what `flags.definitions.service` would refuse; it checks again when it writes."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        for name in set(_fields_of_type(models.JSONField)) & set(values):
            values[name] = values[name] or FIELDS[name].default  # an empty input is None
        if self.instance.pk and values.get("based_on") != Flag.objects.get(pk=self.instance.pk).revision:
            self.add_error(None, FlagChangedMeanwhile("Somebody has changed the flag since you opened it.").detail)
        if (values.get("rollout_unit") == Flag.Unit.ANCESTOR) != (values.get("rollout_level") is not None):
            self.add_error("rollout_level", "A level goes with the unit ancestor, and with that one only.")
        for name in set(FIELDS) & set(values):
            try:
                FIELDS[name].check(values[name])
            except ValidationError as error:
                self.add_error(name, error)
        key = self.instance.key if self.instance.pk else values.get("key", "")
        try:
            prerequisites.check(key, [needed.key for needed in values.get("prerequisites", ())])
        except FlagsiteError as error:
            self.add_error("prerequisites", error.detail)
        return values

    def definition_values(self) -> dict[str, Any]:
        """The values that were filled in, as `flags.definitions.service` takes them."""
        values = {name: self.cleaned_data[name] for name in set(FIELDS) & set(self.cleaned_data)}
        return values | {"prerequisites": [needed.key for needed in self.cleaned_data["prerequisites"]]}


class OperationForm(forms.Form):
    """The reason for an operation, and the revision that the person has looked at."""

    reason = reason_field()
    based_on = forms.CharField(widget=forms.HiddenInput())

    def __init__(self, flag: Flag, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.flag = flag
        self.fields["based_on"].initial = flag.revision


class PurgeForm(OperationForm):
    """The key once more, so that nobody deletes a flag by a slip."""

    key = forms.CharField(strip=False, widget=UnfoldAdminTextInputWidget(), help_text="Write the flag's key.")

    def clean_key(self) -> str:
        if self.cleaned_data["key"] != self.flag.key:
            raise ValidationError(f"That is not its key, which is {self.flag.key}.")
        return self.flag.key


@dataclass(frozen=True, slots=True)
class DefinitionOperation:
    """Archive, unarchive or purge: a page asks before it is done."""

    name: str
    explained: str
    form: type[OperationForm]
    act: Callable[..., Flag | Job]


def _unarchive(**asked: Any) -> Flag:
    return service.update(values={"archived": False}, **asked)


OPERATIONS = {
    operation.name: operation
    for operation in (
        DefinitionOperation(
            name="archive",
            explained="It is off for everybody from then on and cannot be set; its values stay.",
            form=OperationForm,
            act=service.archive,
        ),
        DefinitionOperation(
            name="unarchive",
            explained="Every organization has the value again that it had.",
            form=OperationForm,
            act=_unarchive,
        ),
        DefinitionOperation(
            name="purge",
            explained="A job deletes its values on all organizations, then the flag. There is no way back.",
            form=PurgeForm,
            act=service.purge,
        ),
    )
}


def operations_for(flag: Flag) -> list[DefinitionOperation]:
    """What can be done to the flag as it stands."""
    if flag.purging:
        return []
    return [OPERATIONS["unarchive" if flag.archived else "archive"], OPERATIONS["purge"]]
