"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a result is. A warning needs attention; because of a problem a part of Flagsite does not work."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of a check in a sentence, and advice on what to do. `advice` is empty if everything is in order."""

    severity: Severity
    message: str
    advice: str = ""


def ok(message: str) -> CheckResult:
    return CheckResult(Severity.OK, message)


def warning(message: str, advice: str) -> CheckResult:
    return CheckResult(Severity.WARNING, message, advice)


def problem(message: str, advice: str) -> CheckResult:
    return CheckResult(Severity.PROBLEM, message, advice)


def not_checked(message: str) -> CheckResult:
    return CheckResult(Severity.NOT_CHECKED, message)
