"""The time of `is_enabled` for flags with targeting rules, in a Django process."""

from __future__ import annotations

import random
import time

from bench.typed_rules import rules_of_flags, user_of
from flags.client import is_enabled
from flags.models import Flag

USERS, ROUNDS = 100, 7


def measure(flags: int) -> list[float]:
    """Create flags with rules, and return the microseconds of `is_enabled` for each, the best of several rounds."""
    half = {"enabled": True, "rollout_percentage": 50}
    rules = rules_of_flags(flags)
    names = [f"ruled-{number:03}" for number in range(flags)]
    Flag.objects.bulk_create(
        Flag(key=name, targeting_rules=of_flag, **half) for name, of_flag in zip(names, rules, strict=True)
    )
    draw = random.Random(3)
    users = [(f"user-{draw.randint(1, 10**6)}", user_of(draw)) for _ in range(USERS)]
    found = dict.fromkeys(names, float("inf"))
    for _ in range(ROUNDS):
        for name in names:
            began = time.perf_counter()
            for user, attributes in users:
                is_enabled(name, user_id=user, organization=1, attributes=attributes)
            found[name] = min(found[name], (time.perf_counter() - began) / USERS * 1e6)
    return list(found.values())
