"""The result of one check."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad a result is. A warning is worth a look; a problem keeps something from working."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check has found, in a sentence, and what to do about it; `advice` is empty where all is well."""

    severity: Severity
    message: str
    advice: str = ""


def ok(message: str) -> CheckResult:
    return CheckResult(Severity.OK, message)


def warning(message: str, advice: str) -> CheckResult:
    return CheckResult(Severity.WARNING, message, advice)


def problem(message: str, advice: str) -> CheckResult:
    return CheckResult(Severity.PROBLEM, message, advice)
