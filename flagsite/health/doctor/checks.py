"""All checks in their order, and how they are run: a check is left out while another one that it requires fails."""

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
class Check:
    """A check by name; `requires` names another check that must not have found a problem before."""

    name: str
    run: Callable[[], CheckResult]
    requires: str = ""


CHECKS = (
    Check("settings", check_settings),
    Check("database", check_database),
    Check("migrations", check_migrations, requires="database"),
    Check("clock", check_clock, requires="database"),
    Check("broker", check_broker),
    Check("beat", check_beat, requires="migrations"),
    Check("workers", check_workers, requires="migrations"),
    Check("queues", check_queues, requires="migrations"),
    Check("rescue", check_rescue, requires="migrations"),
    Check("canary", check_probe_job, requires="migrations"),
)
ADVICE_WHEN_A_CHECK_RAISES = {"database": "Start PostgreSQL, or mend DATABASE_URL."}


def run_checks() -> Iterator[tuple[str, CheckResult]]:
    """Run every check, one after another; yields each check's name and result."""
    passed: set[str] = {""}
    for check in CHECKS:
        if check.requires in passed:
            result = _run(check)
        else:
            result = CheckResult(Severity.NOT_CHECKED, f"First the {check.requires} must be in order.")
        if result.severity in {Severity.OK, Severity.WARNING}:
            passed.add(check.name)
        yield check.name, result


def _run(check: Check) -> CheckResult:
    """The check's result; an exception of the check is a problem too."""
    try:
        return check.run()
    except Exception as error:  # noqa: BLE001 - the error is what the check has found
        connection.close()
        message = str(error).strip().partition("\n")[0] or type(error).__name__
        advice = "The check itself has failed; report it with this line."
        return problem(message, ADVICE_WHEN_A_CHECK_RAISES.get(check.name, advice))
