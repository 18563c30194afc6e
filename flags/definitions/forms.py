"""The admin site's forms to define, archive and purge flags."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, cast

from django import forms
from django.conf import settings
from django.contrib.postgres.forms import SimpleArrayField
from django.core.exceptions import ValidationError
from django.db import models
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from flags.definitions import prerequisites, service, typed_definitions
from flags.definitions.fields import FIELDS
from flags.definitions.models import Flag
from flags.definitions.refusals import existing_flag
from flags.errors import FlagChangedMeanwhile, InvalidDefinition
from flags.evaluation.wants import entries_from_lines, lines_of, stored_wants
from flags.values.checks import checked_list
from flags.values.variant_numbers import without_numbers
from flagsite.core.admin.json_text import ReadableJson, TypedJson, line_of_element
from flagsite.core.admin.reason_form import Irreversible, reason_field, reason_line
from flagsite.core.errors import FlagsiteError
from jobs.engine.models import Job

NOT_JSON = 'This is not JSON. Write names and values such as {"staging": true, "production": false}, or {} for none.'
VARIANTS_HELP = 'Its values, each with a key: [{"key": "blue", "value": "#00f"}]. A boolean flag has none: [].'
NOT_JSON_OF = {
    "variants": 'This is not JSON. Write [{"key": "blue", "value": "#00f"}], or [] for a boolean flag.',
    "targeting_rules": "This is not JSON. Write a list of rules, or [] for none.",
    "default_rollout": 'This is not JSON. Write {"rollout": {"blue": 70, "red": 30}}, or nothing for none.',
    "value_schema": "This is not JSON. Write a JSON Schema, or nothing for none.",
}
"""What to write instead, by field."""


def _fields_of_type(*types: type[models.Field[Any, Any]]) -> list[str]:
    return [field.name for field in Flag._meta.fields if field.name in FIELDS and isinstance(field, types)]


class DistinctTextsField(SimpleArrayField):
    """A list of texts with a delimiter between them. Blank texts and repeated texts are left out.

    A person cannot edit a list in which a text contains the delimiter: the form would divide this text.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(forms.CharField(required=False, strip=False), required=False, **options)
        self.known: frozenset[str] = frozenset()
        """The texts that the list has already. They keep the spaces at their ends; new texts lose them."""

    def dividing(self, texts: list[str]) -> list[str]:
        """Return the texts that the form cannot show as one."""
        return [text for text in texts if any(mark in text for mark in (self.delimiter, "\n", "\r"))]

    def clean(self, value: Any) -> list[str]:
        texts = super().clean("\n".join(str(value or "").splitlines()))
        kept = (text if text in self.known else text.strip() for text in texts)
        return list(dict.fromkeys(text for text in kept if text))


class FlagForm(forms.ModelForm):
    """A definition, the reason for its change, and the revision and the plan that the person has seen."""

    tags = DistinctTextsField(widget=UnfoldAdminTextInputWidget(), help_text="Separated by commas.")
    whitelist = DistinctTextsField(
        delimiter="\n",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 4}),
        help_text="Targeting keys for which the flag is on, even where the organization has it off. One in each line.",
    )
    prerequisite_wants = forms.CharField(
        required=False,
        label="What prerequisites must be",
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2, "placeholder": "old-checkout: off"}),
        help_text="Prerequisites must be on. For others, write a line such as old-ui: off, or colour: variant red.",
    )
    reason = reason_line()
    based_on = forms.CharField(required=False, widget=forms.HiddenInput())
    plan_hash = forms.CharField(required=False, max_length=200, widget=forms.HiddenInput())

    class Meta:
        model = Flag
        fields = "__all__"  # noqa: DJ007 - the fieldsets of the page name them
        field_classes: ClassVar = dict.fromkeys(_fields_of_type(models.JSONField), ReadableJson)
        widgets: ClassVar = {
            name: UnfoldAdminTextareaWidget(attrs={"rows": 6 if name in NOT_JSON_OF else 3})
            for name in _fields_of_type(models.TextField, models.JSONField)
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "based_on" in self.fields and self.instance.pk:
            self.fields["based_on"].initial = self.instance.revision
        elif "rollout_percentage" in self.fields and settings.FLAGS_DEFAULT_ROLLOUT != service.EVERYBODY:
            self.initial.setdefault("rollout_percentage", settings.FLAGS_DEFAULT_ROLLOUT)
        if "type" in self.fields:
            self.fields["type"].required = False
        if self.instance.pk:
            self.initial["prerequisite_wants"] = lines_of(self.instance.prerequisite_wants)
        if "salt" in self.fields:
            self.fields["salt"].required = False
        for name in {"tags", "whitelist"} & set(self.fields):
            cast("DistinctTextsField", self.fields[name]).known = frozenset(self.initial.get(name) or ())
        if "variants" in self.fields:
            self.fields["variants"].help_text = VARIANTS_HELP
        self.initial["variants"] = without_numbers(self.instance.variants)
        for name in set(_fields_of_type(models.JSONField)) & set(self.fields):
            self.fields[name].error_messages["invalid"] = NOT_JSON_OF.get(name, NOT_JSON)
            if isinstance(self.fields[name], forms.JSONField):
                cast("forms.JSONField", self.fields[name]).decoder = TypedJson

    def clean_salt(self) -> str:
        """Keep the flag's salt if the input is empty. A flag that is older than salts has an empty salt."""
        return str(self.cleaned_data["salt"] or self.initial.get("salt") or self.instance.salt)

    def clean_type(self) -> str:
        """Take a form without a type for that of a boolean flag."""
        return str(self.cleaned_data["type"] or FIELDS["type"].default)

    def clean_variants(self) -> list[dict[str, Any]]:
        """Refuse what no other door takes: numbers of variants stay inside."""
        return checked_list(self.cleaned_data["variants"] or [])

    def clean(self) -> dict[str, Any]:
        """Find errors before `flags.definitions.service` writes, which checks the same rules again."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        for name in set(_fields_of_type(models.JSONField)) & set(values):
            values[name] = values[name] or FIELDS[name].default  # an empty input is None
        if self.instance.pk and values.get("based_on") != Flag.objects.get(pk=self.instance.pk).revision:
            self.add_error(
                None, FlagChangedMeanwhile("Somebody has changed the flag since you opened this page.").detail
            )
        if (values.get("rollout_unit") == Flag.Unit.ANCESTOR) != (values.get("rollout_level") is not None):
            self.add_error("rollout_level", "The unit ancestor needs a level, and other units must not have one.")
        self._check_each(values)
        for name in {"tags", "whitelist"} & set(values) & set(self.initial):
            divided = cast("DistinctTextsField", self.fields[name]).dividing(self.initial[name])
            if divided and values[name] != self.initial[name]:
                self.add_error(name, f"This form cannot show {divided[0]!r} as one text. Change the list with the API.")
        if not self.errors:
            self._check_as_a_whole(values)
        key = self.instance.key if self.instance.pk else values.get("key", "")
        other = None if self.instance.pk else Flag.objects.filter(key=key).first()
        if other is not None:
            self.add_error("key", existing_flag(other).detail)
        self._clean_prerequisites(key, values)
        return values

    def _clean_prerequisites(self, key: str, values: dict[str, Any]) -> None:
        """Put the prerequisites and what they must be together."""
        keys = [needed.key for needed in values.get("prerequisites", ())]
        try:
            self.entries = entries_from_lines(keys, values.get("prerequisite_wants", ""))
            values["prerequisite_wants"] = stored_wants(self.entries)
            prerequisites.check(key, self.entries)
        except ValidationError as error:
            self.add_error("prerequisite_wants", error)
        except FlagsiteError as error:
            self.add_error("prerequisites", error.detail)

    def _check_each(self, values: Mapping[str, Any]) -> None:
        """Find what is wrong with a field by itself."""
        for name in set(FIELDS) & set(values):
            try:
                FIELDS[name].check(values[name])
            except ValidationError as error:
                self.add_error(name, self._placed(" ".join(error.messages)) if name == "targeting_rules" else error)

    def _placed(self, message: str) -> str:
        """Return a message about a rule with the line on which the rule begins."""
        number = message.removeprefix("Rule ").partition(":")[0].partition(",")[0]
        if not (message.startswith("Rule ") and number.isdecimal()):
            return message
        line = line_of_element(str(self.data.get(self.add_prefix("targeting_rules"), "")), int(number))
        return f"{message} The rule begins on line {line}." if line else message

    def _check_as_a_whole(self, values: Mapping[str, Any]) -> None:
        """Find what is wrong with type, variants, schema and targeting rules together."""
        flag = Flag.objects.get(pk=self.instance.pk) if self.instance.pk else Flag(type=values["type"])
        typed = {name: values[name] for name in typed_definitions.DEPENDENT & set(values)}
        try:
            changed = typed_definitions.give(flag, typed_definitions.settled(flag, typed))
        except InvalidDefinition as error:
            self.add_error("variants", error.detail.removeprefix("variants: "))
            return
        for name, message in typed_definitions.faults(flag, changed):
            self.add_error(name, self._placed(message) if name == "targeting_rules" else message)

    def definition_values(self) -> dict[str, Any]:
        """Return the values of the form as `flags.definitions.service` expects them."""
        values = {name: self.cleaned_data[name] for name in set(FIELDS) & set(self.cleaned_data)}
        if not self.instance.pk and not values.get("default_variant"):
            values.pop("default_variant", None)  # the first variant
        return values | {"prerequisites": self.entries}


class DefinitionOperationForm(forms.Form):
    """The reason for an operation, and the revision that the person has seen."""

    reason = reason_field()
    based_on = forms.CharField(widget=forms.HiddenInput())

    def __init__(self, flag: Flag, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.flag = flag
        self.fields["based_on"].initial = flag.revision


class PurgeForm(DefinitionOperationForm):
    """The form of a purge. A person has to repeat the key, so that nobody deletes a flag by mistake."""

    field_order = ("key", "reason")
    key = forms.CharField(strip=False, widget=UnfoldAdminTextInputWidget(), help_text="Repeat the key of the flag.")
    reason = reason_field(Irreversible.PURGE_FLAG)

    def clean_key(self) -> str:
        if self.cleaned_data["key"] != self.flag.key:
            raise ValidationError(f"This is not the key of the flag, which is {self.flag.key}.")
        return self.flag.key


@dataclass(frozen=True, slots=True)
class DefinitionOperation:
    """Archive, unarchive or purge, as the confirmation page describes it. `values` are those of the definition."""

    name: str
    explained: str
    form: type[DefinitionOperationForm]
    act: Callable[..., Flag | Job]
    irreversible: Irreversible | None = None
    values: Mapping[str, Any] = field(default_factory=dict)


def _unarchive(**arguments: Any) -> Flag:
    return service.update(values={"archived": False}, **arguments)


OPERATIONS = {
    operation.name: operation
    for operation in (
        DefinitionOperation(
            name="archive",
            explained="The flag is off for everybody, and nobody can set it. Its values on organizations stay.",
            form=DefinitionOperationForm,
            act=service.archive,
            values={"archived": True},
        ),
        DefinitionOperation(
            name="unarchive",
            explained="Every organization has its former value again.",
            form=DefinitionOperationForm,
            act=_unarchive,
            values={"archived": False},
        ),
        DefinitionOperation(
            name="purge",
            explained="A job deletes the flag and its values on all organizations. This cannot be undone.",
            form=PurgeForm,
            act=service.purge,
            irreversible=Irreversible.PURGE_FLAG,
        ),
    )
}


def operations_for(flag: Flag, *, may_purge: bool) -> list[DefinitionOperation]:
    """Return the operations that are possible in the flag's current state, without a purge unless `may_purge`."""
    if flag.purging:
        return []
    if not flag.archived:
        return [OPERATIONS["archive"]]
    return [OPERATIONS["unarchive"], *([OPERATIONS["purge"]] if may_purge else [])]
