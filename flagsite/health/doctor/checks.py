"""The list of all checks, and the function that runs them. A check is skipped if the check that it requires fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import connection

from flagsite.health.doctor.check_result import CheckResult, Severity, problem
from flagsite.health.doctor.infrastructure_checks import (
    check_broker,
    check_clock,
    check_database,
    check_migrations,
    check_settings,
)
from flagsite.health.doctor.job_checks import check_beat, check_probe_job, check_queues, check_rescue, check_workers


@dataclass(frozen=True, slots=True)
class DoctorCheck:
    """A check with its name. `requires` is the name of an earlier check that must have passed, or empty."""

    name: str
    run: Callable[[], CheckResult]
    requires: str = ""


CHECKS = (
    DoctorCheck("settings", check_settings),
    DoctorCheck("database", check_database),
    DoctorCheck("migrations", check_migrations, requires="database"),
    DoctorCheck("clock", check_clock, requires="database"),
    DoctorCheck("broker", check_broker),
    DoctorCheck("beat", check_beat, requires="migrations"),
    DoctorCheck("workers", check_workers, requires="migrations"),
    DoctorCheck("queues", check_queues, requires="migrations"),
    DoctorCheck("rescue", check_rescue, requires="migrations"),
    DoctorCheck("canary", check_probe_job, requires="migrations"),
)
ADVICE_WHEN_A_CHECK_RAISES = {"database": "Start PostgreSQL, or correct DATABASE_URL."}


def run_checks() -> Iterator[tuple[str, CheckResult]]:
    """Run all checks, one after another; yields the name and the result of each."""
    passed: set[str] = {""}
    for check in CHECKS:
        if check.requires in passed:
            result = _run(check)
        else:
            result = CheckResult(
                Severity.NOT_CHECKED, f"Skipped, because the check of {check.requires} has not passed."
            )
        if result.severity in {Severity.OK, Severity.WARNING}:
            passed.add(check.name)
        yield check.name, result


def _run(check: DoctorCheck) -> CheckResult:
    """The result of the check. An exception counts as a problem."""
    try:
        return check.run()
    except Exception as error:  # noqa: BLE001 - the error is the result of the check
        connection.close()
        message = str(error).strip().partition("\n")[0] or type(error).__name__
        advice = "The check itself failed. Report this as a bug, together with the line above."
        return problem(message, ADVICE_WHEN_A_CHECK_RAISES.get(check.name, advice))
