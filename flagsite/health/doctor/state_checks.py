"""The check of flag states: a sample must be what the settings say."""

from __future__ import annotations

from flags.states import expected_states
from flags.states.drift import known_drift
from flagsite.core.words import counted
from flagsite.health.doctor.check_result import CheckResult, ok, problem

ORGANIZATIONS, FLAGS = 200, 20
"""So many organizations and flags are in a sample, which takes some milliseconds."""
RECALCULATE = 'Run bin/manage enqueue_job recalculation --reason "flag states differ" (docs/upkeep.md#recalculation).'


def check_flag_states() -> CheckResult:
    """Compare a sample of the flag states with the settings."""
    compared, found = expected_states.sample(organizations=ORGANIZATIONS, flags=FLAGS)
    known = known_drift()
    if known and not found:
        return problem(f"{counted(known, 'flag state')} found by the hourly comparison {'is' if known == 1 else 'are'} "
                       "not as the settings say.", RECALCULATE)  # fmt: skip
    if not found:
        return ok(f"A sample of {counted(compared, 'flag state')} is as the settings say.")
    first = found[0]
    return problem(
        f"Of a sample of {counted(compared, 'flag state')}, {len(found):,} are not as the settings say. The first one "
        f"is that of organization {first.organization_id} and flag {first.flag_id} ({first.kind}).",
        RECALCULATE,
    )
