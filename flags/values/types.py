"""The types of flags."""

from __future__ import annotations

from enum import StrEnum


class FlagType(StrEnum):
    """The type of the values of a flag, as OpenFeature names it. It never changes."""

    BOOLEAN = "boolean"
    STRING = "string"
    INTEGER = "integer"
    FLOAT = "float"
    OBJECT = "object"


TYPES = [each.value for each in FlagType]
"""All types, in the order of the documents."""
