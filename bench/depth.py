"""Requests about the lowest of 3,000 organizations, each below the one before, in a database without statistics."""

from __future__ import annotations

import httpx

from bench import overview_pages
from bench.installation import Installation
from bench.report import Result

LEVELS, SHALLOW, FLAGS = 3000, 300, 100
LIMIT_MILLISECONDS = 1000
MAKE_CHAIN = """
import django, io; django.setup()
from flagsite.core import actor
from orgs.importing.importer import import_organizations
rows = "".join(f"c{{n}},Level {{n}},{{f'c{{n - 1}}' if n else ''}}\\n" for n in range({levels}))
with actor.acting("command", actor="command:bench"):
    import_organizations(io.BytesIO(("key,name,parent_key\\n" + rows).encode()))
"""
PLANT_FLAGS = "INSERT INTO flags_flag (key, description) SELECT 'flag-' || n, '' FROM generate_series(1, %(flags)s) n"
PLANT_STATES = """
INSERT INTO flags_flagstate (organization_id, flag_id, enabled, source_id, change_number, updated_at)
SELECT organization.id, flag.id, true, (SELECT id FROM orgs_organization WHERE key = 'c0'), 1, now()
  FROM orgs_organization organization, flags_flag flag WHERE flag.key <> 'flag-1' ORDER BY 1, 2
"""
API = [
    "/organizations/{id}", "/organizations/{id}/ancestors", "/organizations/{id}/flags", "/{id}/flag-2", "/{id}/flag-1",
    "/v1/feature-flags/flag-2/check?organizationId={id}", "/v1/feature-flags/flag-2/explain?organizationId={id}",
]  # fmt: skip
PAGES = [
    "/admin/orgs/organization/?q=Level", "/admin/orgs/organization/{id}/change/",
    "/admin/orgs/organization/{id}/delete/do/", "/admin/orgs/auditentry/",
    "/admin/flags/flag/{flag}/evaluate/?organization={id}", "/admin/jobs/job/?below=c{level}",
]  # fmt: skip


def deep_tree(installation: Installation, rows: int) -> Result:
    """Measure reads and pages of the organization at the end of a long path, and of one at a tenth of its length."""
    installation.clear()
    installation.authorize()
    installation.python(MAKE_CHAIN.format(levels=LEVELS))
    installation.sql("DELETE FROM flags_flag")
    installation.sql(PLANT_FLAGS, {"flags": FLAGS})
    installation.sql(PLANT_STATES)
    flag = installation.sql("SELECT id FROM flags_flag WHERE key = 'flag-2'")[0][0]
    cookie = installation.python(overview_pages.SIGN_IN.format(name="bench", bound_to=None)).strip()
    times: dict[int, dict[str, float]] = {}
    with httpx.Client(base_url=installation.http.base_url, cookies={"sessionid": cookie}, timeout=120) as person:
        for level in (SHALLOW - 1, LEVELS - 1):
            ((organization,),) = installation.sql("SELECT id FROM orgs_organization WHERE key = %s", [f"c{level}"])
            names = {"id": organization, "level": level, "flag": flag}
            times[level] = {
                path: overview_pages.milliseconds(client, path.format(**names))
                for client, paths in ((installation.http, API), (person, PAGES))
                for path in paths
            }
    shallow, deep = times.values()
    slowest = max(deep, key=lambda path: deep[path])
    return Result(
        f"reads and pages at level {LEVELS:,}", f"slowest {deep[slowest]:.0f} ms: {slowest}",
        f"at level {SHALLOW}: {shallow[slowest]:.0f} ms", deep[slowest] / shallow[slowest],
        f"≤ {LIMIT_MILLISECONDS} ms", deep[slowest] <= LIMIT_MILLISECONDS, {"deep": deep, "shallow": shallow},
    )  # fmt: skip
