"""A batch evaluation of 100 flags for 10,000 organizations and 10 users, against single evaluations in one process."""

from __future__ import annotations

import json
from typing import Any

from bench.installation import Installation
from bench.report import Result

FLAGS, USERS = 100, 10
ORGANIZATIONS = (1_000, 10_000)
DEFINE = f"""
import django; django.setup()
from flags.definitions import service
from flags.states.set_flag import set_flag
from flagsite.core import actor
from jobs.engine.runner import run_next
from orgs.tree.models import Organization
with actor.acting("command", actor="command:bench"):
    for number in range({FLAGS}):
        values = {{"enabled": number % 3 > 0, "rollout_percentage": 100 if number % 4 else 50}}
        service.create(key=f"bench-{{number:03}}", values=values, by="command:bench")
    root = Organization.objects.filter(parent=None).get()
    for number in range(20):
        set_flag(organization_id=root.pk, flag_key=f"bench-{{number:03}}", enabled=True, requested_by="command:bench")
    while run_next("propagation"):
        pass
"""
EVALUATE = f"""
import django, json, resource, time; django.setup()
from flagsite.core import actor
from jobs.engine.runner import run_next
from jobs.operations.enqueue import enqueue
flags = [f"bench-{{number:03}}" for number in range({FLAGS})]
users = [f"user-{{number}}" for number in range({USERS})]
with actor.acting("command", actor="command:bench"):
    job = enqueue(kind="batch_evaluation", arguments={{"flags": flags, "users": users}}, by="command:bench").job
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
began = time.perf_counter()
run_next("default")
seconds = time.perf_counter() - began
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
job.refresh_from_db()
import sys; print("measured", seconds, memory / 1024, file=sys.stderr)
print(json.dumps({{"seconds": seconds, "megabytes": memory / 1024, "more_megabytes": (memory - before) / 1024,
                  "status": job.status, "error": job.error_message, "result": job.result}}))
"""
SINGLE = f"""
import django, json, time; django.setup()
from flags.client import is_enabled
from orgs.tree.models import Organization
ids = list(Organization.objects.order_by("pk").values_list("pk", flat=True)[:1000])
flags = [f"bench-{{number:03}}" for number in range({FLAGS})]
users = [f"user-{{number}}" for number in range({USERS})]
for organization in ids:
    is_enabled(flags[0], organization=organization, user_id=users[0])
began = time.perf_counter()
for organization in ids:
    for user in users:
        for flag in flags:
            is_enabled(flag, organization=organization, user_id=user)
print(json.dumps(len(ids) * {FLAGS * USERS} / (time.perf_counter() - began)))
"""


def batch_evaluation(installation: Installation, rows: int) -> list[Result]:
    """Measure how many evaluations a job makes and writes as CSV in a second, and how its memory grows."""
    figures: dict[int, dict[str, Any]] = {}
    for organizations in ORGANIZATIONS:
        installation.sql("TRUNCATE jobs_job, flags_flag CASCADE")
        installation.create_trees(organizations - 1)
        installation.python(DEFINE)
        figures[organizations] = json.loads(installation.python(EVALUATE).splitlines()[-1])
        if figures[organizations]["status"] != "COMPLETED":
            raise SystemExit(f"The batch evaluation has not COMPLETED: {figures[organizations]}")
    few, many = (figures[organizations] for organizations in ORGANIZATIONS)
    single = float(json.loads(installation.python(SINGLE).splitlines()[-1]))
    rate = many["result"]["evaluations"] / many["seconds"]
    more = many["megabytes"] - few["megabytes"]
    return [
        Result(
            f"batch evaluation of {many['result']['evaluations']:,}", f"{rate:,.0f}/s, {many['seconds']:.1f} s",
            f"is_enabled alone {single:,.0f}/s", rate / single, "≥ 0.5", rate >= 0.5 * single,
            {"rate": rate, "single": single, "figures": figures},
        ),
        Result(
            "memory of a batch evaluation", f"{many['megabytes']:.0f} MB", f"{few['megabytes']:.0f} MB for a tenth",
            many["megabytes"] / few["megabytes"], "≤ 30 MB more", more <= 30, {"more_megabytes": more},
        ),
    ]  # fmt: skip
