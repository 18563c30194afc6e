"""Attributes of organizations in the answers of commands."""

from __future__ import annotations

from typing import Any

from rich.table import Column

from flagsite.core.console import terminal
from flagsite.core.console.command import Answer
from orgs.attributes.attribute_operations import Attributes
from orgs.attributes.attribute_serializers import AttributesSerializer
from orgs.attributes.attribute_words import shown


def answer_of(attributes: Attributes) -> Answer:
    """Return the answer about the attributes of an organization."""
    document = dict(AttributesSerializer(attributes).data)
    table = terminal.table(Column("Attribute", no_wrap=True), "Value", "From", "Hides")
    for one in shown(attributes):
        table.add_row(*terminal.cells(one.name, one.value, one.source, one.hides))
    output: list[Any] = [table] if table.row_count else ["The organization has no attributes."]
    return Answer(document, output)
