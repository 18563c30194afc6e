"""The admin site's form to upload a file of organizations."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from unfold.widgets import UnfoldAdminFileFieldWidget

from flagsite.core.admin.reason_form import reason_field
from orgs.access.caller import Caller
from orgs.access.visible_organizations import find_visible_organization
from orgs.errors import InvalidImportOption, OrganizationAmbiguous, OrganizationNotFound
from orgs.importing.options import DELIMITERS, ENCODINGS, MAX_PREFIX_LENGTH, ImportOptions, columns_in


class ImportForm(forms.Form):
    """A file and the options of its import. A valid form has the attribute `options`."""

    file = forms.FileField(
        label="File",
        help_text="CSV in UTF-8, or an Excel workbook (.xlsx), with the columns key, name and parent_key. Flagsite "
        "shows what the file would change. Nothing changes before you confirm.",
        widget=UnfoldAdminFileFieldWidget(attrs={"accept": ".csv,.xlsx,text/csv"}),
    )
    below = forms.CharField(
        required=False,
        label="Below (key or id)",
        help_text="Optional. Only the subtree of this organization may change. Rows without a parent_key are placed "
        "directly below it.",
    )
    key_prefix = forms.CharField(
        required=False,
        strip=False,
        max_length=MAX_PREFIX_LENGTH,
        help_text="Optional. Put before each key and parent_key of the file, to keep the keys of customers apart.",
    )
    columns = forms.CharField(
        required=False,
        label="Names of the columns",
        help_text="Only if they differ, such as key=code,name=title,parent_key=parent.",
    )
    delimiter = forms.ChoiceField(choices=[(name, name) for name in DELIMITERS], help_text="Of a CSV file.")
    encoding = forms.ChoiceField(choices=[(name, name) for name in ENCODINGS], help_text="Of a CSV file.")
    move_between_trees = forms.BooleanField(
        required=False,
        label="Allow moves to another tree",
        help_text="Another tree is often another customer. Without this, such a file is refused.",
    )
    reason = reason_field()

    def __init__(self, caller: Caller, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._caller = caller

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        if file.size > settings.MAX_IMPORT_BYTES:
            raise forms.ValidationError(
                f"The file is larger than {settings.MAX_IMPORT_BYTES // 2**20} MB. Use the command bin/manage "
                "import_organizations for larger files."
            )
        return file

    def clean_below(self) -> int | None:
        key_or_id = self.cleaned_data["below"].strip()
        if not key_or_id:
            return None
        try:
            return find_visible_organization(self._caller, key_or_id).pk
        except OrganizationNotFound:
            raise forms.ValidationError(f"You have no organization with the key or id {key_or_id!r}.") from None
        except OrganizationAmbiguous as error:
            raise forms.ValidationError(error.detail) from None

    def clean_columns(self) -> dict[str, str]:
        try:
            return columns_in(self.cleaned_data["columns"])
        except InvalidImportOption as error:
            raise forms.ValidationError(error.detail) from None

    def clean(self) -> dict[str, Any]:
        """Make the options of valid fields."""
        values = super().clean() or {}
        if not self.errors:
            names = ("columns", "key_prefix", "delimiter", "encoding", "move_between_trees")
            try:
                self.options = ImportOptions(
                    **{name: values[name] for name in names},
                    scope_id=self._caller.organization_id,
                    below_id=values["below"],
                )
            except InvalidImportOption as error:
                self.add_error(error.option, error.detail)
        return values
