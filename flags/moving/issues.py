"""What has no equal on the other side, when flags move: the codes that reports name."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Issue(StrEnum):
    """Something that cannot be said on the other side. docs/moving.md explains each code."""

    REGULAR_EXPRESSION = "regular-expression"
    TIME = "time"
    NETWORK = "network"
    IGNORE_CASE = "ignore-case"
    ATTRIBUTE_NAME = "attribute-name"
    OPERATOR = "operator"
    BUCKETS = "buckets"
    UNIT = "unit"
    PREREQUISITE = "prerequisite"
    VALUE = "value"
    WEIGHTS = "weights"
    SEGMENT = "segment"
    STRATEGY = "strategy"
    STICKINESS = "stickiness"
    NUMBERS = "numbers"
    VERSION_FORM = "version-form"
    FALL_THROUGH = "fall-through"
    TOO_LONG = "too-long"
    FORM = "form"
    OFF = "off"
    IDENTITY = "identity"
    CONTEXT_KIND = "context-kind"
    TYPE = "type"
    ARRAYS = "arrays"


@dataclass(frozen=True, slots=True)
class Remark:
    """What a report says of one flag: a code, and a sentence."""

    flag: str
    issue: Issue
    detail: str
    is_imported: bool = True
    """Whether the flag is imported nevertheless."""


class NoEqual(Exception):
    """A part of a flag that the other side cannot say."""

    def __init__(self, issue: Issue, detail: str) -> None:
        super().__init__(detail)
        self.issue = issue
        self.detail = detail
