"""Drift: flag states that are not what the settings say. Flagsite looks for them at random, and mends none silently.

There should be none. An hourly task compares all flags of some organizations with the settings. It keeps what differs
in a table, and looks at this again each hour, so that the figure stays until somebody has mended it with a
recalculation (`flags.states.recalculation`). What a job still has to write is no drift, and neither is what nobody can
decide (`flags.states.expected_states`).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from random import sample

import structlog
from django.conf import settings
from django.db import transaction

from flags.definitions.models import Flag
from flags.states.expected_states import Difference, differences, sampled_organizations
from flags.states.models import DriftedState
from jobs.counting import counters

log = structlog.get_logger(__name__)
COMPARED = "flag_states_compared"
"""The name of the counter of compared flag states."""
FLAGS_AT_ONCE = 32
MOST_SECONDS = 20.0
"""After this time, a check leaves out the flags that are left: other ones each time, because their order is random."""
MOST_KEPT = 1_000
"""Drifted flag states that Flagsite keeps. Who has more needs a recalculation, and no longer list."""


@dataclass(frozen=True, slots=True)
class Checked:
    """How many flag states a check has compared at random, and how many drifted ones are known after it."""

    compared: int
    drifted: int


def check_drift() -> Checked:
    """Look again at the known drifted flag states, then compare FLAGS_DRIFT_SAMPLE organizations at random."""
    _look_again()
    organizations = sampled_organizations(settings.FLAGS_DRIFT_SAMPLE)
    flags = list(Flag.objects.filter(purging=False).values_list("pk", flat=True))
    compared, until = 0, time.monotonic() + MOST_SECONDS
    shuffled = sample(flags, len(flags))
    for start in range(0, len(shuffled) if organizations else 0, FLAGS_AT_ONCE):
        if time.monotonic() > until:
            break
        group = shuffled[start : start + FLAGS_AT_ONCE]
        _keep(_decided(differences(organizations, group)))
        compared += len(organizations) * len(group)
    with transaction.atomic():
        counters.add(COMPARED, compared)
    return Checked(compared, known_drift())


def known_drift() -> int:
    """Return the number of flag states that differed from the settings when Flagsite looked last."""
    return DriftedState.objects.count()


def _look_again() -> None:
    """Forget the known ones that are right by now, or that are gone."""
    known = list(DriftedState.objects.order_by("flag_id", "organization_id"))
    for flag_id, states in groupby(known, lambda state: state.flag_id):
        ids = [state.organization_id for state in states]
        found = {each.organization_id for each in _decided(differences(ids, [flag_id]))}
        DriftedState.objects.filter(flag_id=flag_id, organization_id__in=set(ids) - found).delete()


def _keep(found: Sequence[Difference]) -> None:
    if not found:
        return
    first = found[0]
    log.warning(
        "flag_states_drift", differences=len(found), organizationId=first.organization_id, flagId=first.flag_id,
        difference=first.kind,
    )  # fmt: skip
    room = max(0, MOST_KEPT - known_drift())
    DriftedState.objects.bulk_create(
        (
            DriftedState(organization_id=each.organization_id, flag_id=each.flag_id, difference=each.kind)
            for each in found[:room]
        ),
        ignore_conflicts=True,
    )


def _decided(found: Iterable[Difference]) -> list[Difference]:
    return [each for each in found if not each.undecided]
