"""The list of all checks, and the function that runs them. A check is skipped if the check that it requires fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from django.db import connection

from flagsite.health.doctor.check_result import CheckResult, Severity, not_checked, problem
from flagsite.health.doctor.database_checks import check_database, check_listener, check_migrations
from flagsite.health.doctor.infrastructure_checks import (
    check_broker,
    check_clock,
    check_settings,
)
from flagsite.health.doctor.job_checks import (
    check_beat,
    check_kinds,
    check_periodic_tasks,
    check_probe_job,
    check_queues,
    check_rescue,
    check_workers,
)
from flagsite.health.doctor.output_checks import check_artifacts, check_notifications
from flagsite.health.doctor.site_checks import (
    Site,
    check_answer,
    check_encryption,
    check_event_stream,
    check_plain_http,
    check_proxy_headers,
    check_sign_in,
)
from flagsite.health.doctor.state_checks import check_flag_states


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
    DoctorCheck("listener", check_listener, requires="database"),
    DoctorCheck("broker", check_broker),
    DoctorCheck("beat", check_beat, requires="migrations"),
    DoctorCheck("periodic", check_periodic_tasks, requires="migrations"),
    DoctorCheck("states", check_flag_states, requires="migrations"),
    DoctorCheck("workers", check_workers, requires="migrations"),
    DoctorCheck("queues", check_queues, requires="migrations"),
    DoctorCheck("kinds", check_kinds, requires="migrations"),
    DoctorCheck("rescue", check_rescue, requires="migrations"),
    DoctorCheck("canary", check_probe_job, requires="migrations"),
    DoctorCheck("notifications", check_notifications, requires="migrations"),
    DoctorCheck("artifacts", check_artifacts, requires="migrations"),
)
SITE_CHECKS: tuple[tuple[str, Callable[[Site], CheckResult], str], ...] = (
    ("site encryption", check_encryption, ""),
    ("site answer", check_answer, "site encryption"),
    ("site proxy", check_proxy_headers, "site answer"),
    ("site sign-in", check_sign_in, "site answer"),
    ("site http", check_plain_http, "site answer"),
    ("site events", check_event_stream, "site answer"),
)
"""The checks of `doctor --url`, as in DoctorCheck."""
NOT_REACHED = "Start the web server and the proxy in front of it, or correct the URL."
ADVICE_WHEN_A_CHECK_RAISES = {
    "database": "Start PostgreSQL, or correct DATABASE_URL.",
    "site encryption": NOT_REACHED,
    "site answer": NOT_REACHED,
    "site events": "Start the events process, and let the proxy pass on EVENTS_URL to it.",
}


def run_checks(site: Site | None = None) -> Iterator[tuple[str, CheckResult]]:
    """Run all checks, one after another; yields the name and the result of each.

    Args:
        site: the site as people open it. With None, the checks of SITE_CHECKS do not run.
    """
    passed: set[str] = {""}
    of_site = [] if site is None else [DoctorCheck(name, partial(run, site), need) for name, run, need in SITE_CHECKS]
    for check in (*CHECKS, *of_site):
        if check.requires in passed:
            result = _run(check)
        else:
            result = not_checked(f"Skipped, because the check of {check.requires} has not passed.")
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
