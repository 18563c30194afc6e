"""Forms of the admin site in which a field that nobody touched keeps its value, whatever the value is.

A form shows a value as text and reads the text back. Some values do not come back the same: a list whose values contain
the delimiter, or a text with spaces at its ends. Without these forms, a person who saves a page would change such a
value without seeing it.
"""

from __future__ import annotations

from typing import Any

from django import forms


class UntouchedFieldsKeepTheirValues(forms.ModelForm):
    """A form for a row. It compares the text of each field with the text that the page has shown."""

    def clean(self) -> dict[str, Any] | None:
        """Give each untouched field the value of the row, before any further check."""
        if self.instance.pk is not None:
            for name in set(self.cleaned_data) & set(self.initial):
                if self.is_untouched(name):
                    self.cleaned_data[name] = self.initial[name]
        return super().clean()

    def is_untouched(self, name: str) -> bool:
        """Whether a text field of the row has come back exactly as the page has shown it.

        Args:
            name: a field of the form. For fields that are no columns of the row, and for fields without text (check
                boxes, lists to choose from), the result is False, because these come back as they were shown.
        """
        field = self.fields[name]
        if not isinstance(field.widget, (forms.TextInput, forms.Textarea)) or name not in self.initial:
            return False
        sent = field.widget.value_from_datadict(self.data, self.files, self.add_prefix(name))
        shown = field.widget.format_value(field.prepare_value(self.initial[name]))
        return _as_a_browser_sends(sent, field.widget) == _as_a_browser_sends(shown, field.widget)


def _as_a_browser_sends(text: Any, widget: forms.Widget) -> str:
    """The text with the line ends of a browser: one form in an area, none in a line."""
    lines = str(text or "").replace("\r\n", "\n").replace("\r", "\n")
    return lines if isinstance(widget, forms.Textarea) else lines.replace("\n", "")
