"""The admin site's lists of jobs, organizations and flags with very many rows, over HTTP."""

from __future__ import annotations

import httpx

from bench.installation import Installation
from bench.overview_pages import LIMIT_MILLISECONDS, ORGANIZATIONS, SIGN_IN, make_rows, milliseconds
from bench.report import Result

NAME_FLAGS = """
UPDATE jobs_job SET arguments = jsonb_build_object('featureFlagName', 'flag-' || id %% 1000, 'enabled', true),
                    requested_by = 'user:person' || id %% 100
"""
FLAGS = "INSERT INTO flags_flag (key, description) SELECT 'flag-' || n, '' FROM generate_series(0, 999) n"
STATES = """
INSERT INTO flags_flagstate (organization_id, flag_id, enabled, source_id, change_number, updated_at)
SELECT organization.id, flag.id, true, 1, 1, now()
  FROM orgs_organization organization, (SELECT id FROM flags_flag ORDER BY id LIMIT 10) flag ORDER BY 1, 2
"""
EARLIER_HOUR = "SELECT to_char(max(completed_at) - interval '20 hours', 'YYYY-MM-DD\"T\"HH24') FROM jobs_job"
JOBS = "/admin/jobs/job/"
PAGES = [
    JOBS, f"{JOBS}?p=100", f"{JOBS}?status__exact=FAILED", f"{JOBS}?status__exact=PENDING",
    f"{JOBS}?queue__exact=propagation", f"{JOBS}?trigger__exact=manual", f"{JOBS}?within=1h", f"{JOBS}?within=30d",
    f"{JOBS}?ended={{hour}}",
    f"{JOBS}?flag=flag-7", f"{JOBS}?by=person7", f"{JOBS}?below=root-0", f"{JOBS}?below=o-0-3-0",
    f"{JOBS}?below=o-0-3-0&status__exact=FAILED", f"{JOBS}?below=o-0-3-1", f"{JOBS}?q=c-4711", f"{JOBS}?q=flag-7",
    f"{JOBS}?q=o-0-3-1", f"{JOBS}?q=nothing", f"{JOBS}{{job}}/change/", f"{JOBS}live/?ids={{job}}",
    "/admin/orgs/organization/", "/admin/orgs/organization/?q=o-0-3-1", "/admin/flags/flag/",
]  # fmt: skip
BOUND_PERSON_PAGES = [JOBS, f"{JOBS}?status__exact=FAILED", f"{JOBS}?q=c-4711", "/admin/orgs/organization/"]


def lists(installation: Installation, rows: int) -> Result:
    """Measure every list for a person without a scope, and some for a person who is bound to an organization."""
    (root,) = installation.create_trees(min(rows, ORGANIZATIONS))
    make_rows(installation, rows)
    for statement in (NAME_FLAGS.replace("%%", "%"), FLAGS, STATES):
        installation.sql(statement)
    for table in ("jobs_job", "flags_flag", "flags_flagstate"):
        installation.sql(f"VACUUM (ANALYZE) {table}")
    job_id = installation.sql("SELECT min(id) + 1000 FROM jobs_job")[0][0]
    hour = installation.sql(EARLIER_HOUR)[0][0]
    times: dict[str, float] = {}
    for name, bound_to, paths in (("", None, PAGES), ("branch: ", root + 1, BOUND_PERSON_PAGES)):
        cookie = installation.python(SIGN_IN.format(name=f"bench {name}", bound_to=bound_to)).strip()
        with httpx.Client(base_url=installation.http.base_url, cookies={"sessionid": cookie}, timeout=120) as client:
            times |= {name + path: milliseconds(client, path.format(job=job_id, hour=hour)) for path in paths}
    slowest = max(times, key=lambda path: times[path])
    return Result(
        f"lists with {rows:,} jobs and states", f"slowest {times[slowest]:.0f} ms", slowest,
        times[slowest] / LIMIT_MILLISECONDS, f"≤ {LIMIT_MILLISECONDS} ms", times[slowest] <= LIMIT_MILLISECONDS,
        {"milliseconds": dict(sorted(times.items(), key=lambda item: -item[1]))},
    )  # fmt: skip
