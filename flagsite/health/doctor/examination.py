"""All checks in their order; those that ask the database are left out while it is away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from django.db import connection

from flagsite.health.doctor.findings import Finding, Severity, problem
from flagsite.health.doctor.processes import check_beat, check_canary, check_queues, check_rescue, check_workers
from flagsite.health.doctor.surroundings import (
    check_broker,
    check_clock,
    check_database,
    check_migrations,
    check_settings,
)


@dataclass(frozen=True, slots=True)
class Check:
    """A name, the question, and which other check must have gone well before it makes sense."""

    name: str
    look: Callable[[], Finding]
    needs: str = ""


CHECKS = (
    Check("settings", check_settings),
    Check("database", check_database),
    Check("migrations", check_migrations, needs="database"),
    Check("clock", check_clock, needs="database"),
    Check("broker", check_broker),
    Check("beat", check_beat, needs="migrations"),
    Check("workers", check_workers, needs="migrations"),
    Check("queues", check_queues, needs="migrations"),
    Check("rescue", check_rescue, needs="migrations"),
    Check("canary", check_canary, needs="migrations"),
)


def examine() -> Iterator[tuple[str, Finding]]:
    """Make every check, one after another, and say its name and what it found."""
    usable: set[str] = {""}
    for check in CHECKS:
        if check.needs in usable:
            finding = _look(check)
        else:
            finding = Finding(Severity.NOT_CHECKED, f"First the {check.needs} must be in order.")
        if finding.state in {Severity.OK, Severity.WARNING}:
            usable.add(check.name)
        yield check.name, finding


def _look(check: Check) -> Finding:
    try:
        return check.look()
    except Exception as error:  # noqa: BLE001 - what a check fails with is what it has found
        connection.close()
        words = str(error).strip().partition("\n")[0] or type(error).__name__
        return problem(words, ADVICE.get(check.name, "The check itself has failed; report it with this line."))


ADVICE = {"database": "Start PostgreSQL, or mend DATABASE_URL."}
