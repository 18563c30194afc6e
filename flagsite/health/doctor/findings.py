"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How grave it is. A warning is worth a look; a problem keeps something from working."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Finding:
    """In words what is so, and what to do where that is not good."""

    state: Severity
    words: str
    advice: str = ""


def fine(words: str) -> Finding:
    return Finding(Severity.OK, words)


def warning(words: str, advice: str) -> Finding:
    return Finding(Severity.WARNING, words, advice)


def problem(words: str, advice: str) -> Finding:
    return Finding(Severity.PROBLEM, words, advice)
