"""What a request about an organization costs on a path of 3,000 levels: statements as on a short one, linear rows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from flags.definitions.models import Flag
from flags.evaluation import context_loader
from flags.states.models import FlagState
from flags.states.selectors import as_effective, effective_states
from flagsite.core import actor
from orgs.tests.api import Api
from orgs.tests.trees import import_rows
from orgs.tree import tree_operations
from orgs.tree.models import Organization

pytestmark = [pytest.mark.django_db, pytest.mark.slow]
LEVELS, SHALLOW, FLAGS = 3000, 300, 12
STATES = """
INSERT INTO flags_flagstate (organization_id, flag_id, source_id, change_number, updated_at, enabled)
SELECT organization.id, flag.id, (SELECT id FROM orgs_organization WHERE key = 'c0'), 1, now(), TRUE
  FROM orgs_organization organization, flags_flag flag
 WHERE flag.key NOT IN ('flag-0', 'flag-1') OR (flag.key = 'flag-1' AND organization.key = 'c0')
 ORDER BY 1, 2
"""
"""Nobody has set flag-0, and flag-1 has not arrived below the root yet. All others have arrived everywhere."""
ROWS_READ = "SELECT sum(seq_tup_read + COALESCE(idx_tup_fetch, 0)) FROM pg_stat_xact_user_tables"
GROWTH = LEVELS / SHALLOW * 1.5
"""How many times as many rows may be read on the long path: a quadratic read needs a hundred times as many."""
FIXED_ROWS = 500
FOLDED_BYTES = 3000
"""By how much a page of the long path may be longer: numbers and keys have more digits."""
API_READS = [
    "/organizations/{id}",
    "/organizations/{id}/ancestors",
    "/organizations/{id}/descendants",
    "/organizations/{id}/flags",
    "/organizations?parent={id}",
    "/{id}/flag-2",
    "/{id}/flag-1",
    "/{id}/flag-0",
    "/v1/feature-flags/flag-2/check?organizationId={id}",
    "/v1/feature-flags/flag-2/explain?organizationId={id}",
    "/v1/schedules?organizationId={id}",
    "/v1/audit-log?organizationId={id}",
]
PAGES = [
    "/admin/orgs/organization/?q={key}",
    "/admin/orgs/organization/{id}/change/",
    "/admin/orgs/organization/{id}/rename/do/",
    "/admin/orgs/organization/{id}/move/do/",
    "/admin/orgs/organization/{id}/create/do/",
    "/admin/orgs/organization/{id}/delete/do/",
    "/admin/orgs/organization/level/?parent={id}",
    "/admin/orgs/organization/picker/?field=f&f={key}",
    "/admin/orgs/auditentry/?of=id:{id}",
    "/admin/flags/flag/{flag}/evaluate/?organization={id}",
    "/admin/flags/flag/set/{id}/?flag=flag-2",
    "/admin/jobs/job/?below={key}",
    "/admin/search/?s={key}",
]


@dataclass(frozen=True)
class Cost:
    """The status of an answer, its length, and the statements and rows that it took."""

    status: int
    length: int
    statements: int
    rows: int


def chain() -> tuple[Organization, Organization]:
    """Make one chain, in a database that nobody has analyzed; return organizations high up and at its end."""
    import_rows(*(f"c{level},Level {level},{f'c{level - 1}' if level else ''}" for level in range(LEVELS)))
    Flag.objects.bulk_create(Flag(key=f"flag-{number}") for number in range(FLAGS))
    with connection.cursor() as cursor:
        cursor.execute(STATES)
    return Organization.objects.get(key=f"c{SHALLOW - 1}"), Organization.objects.get(key=f"c{LEVELS - 1}")


def rows_read() -> int:
    with connection.cursor() as cursor:
        cursor.execute(ROWS_READ)
        return int(cursor.fetchone()[0])


def cost(ask: Callable[[], Any]) -> Cost:
    before = rows_read()
    with CaptureQueriesContext(connection) as statements:
        answer = ask()
    counted = [one for one in statements if "orgs_accesskeyuse" not in one["sql"] and "SAVEPOINT" not in one["sql"]]
    return Cost(answer.status_code, len(answer.content), len(counted), rows_read() - before)


def problems_of(
    send: Callable[..., Any], method: str, path: str, body: dict[str, str] | None = None, *, status: int = 200
) -> list[str]:
    """Send a request about each of the two organizations. Returns what the one at the end of the path may not cost."""
    costs = []
    for key in (f"c{SHALLOW - 1}", f"c{LEVELS - 1}"):
        one = Organization.objects.get(key=key)
        names = {"id": one.pk, "key": key, "flag": Flag.objects.get(key="flag-2").pk}
        filled = body and {name: value.format(**names) for name, value in body.items()}
        costs.append(cost(partial(send, method, path.format(**names), filled)))
    shallow, deep = costs
    found = []
    if {shallow.status, deep.status} != {status}:
        found.append(f"{method} {path}: status {shallow.status}, {deep.status}")
    if deep.statements > shallow.statements:
        found.append(f"{method} {path}: {deep.statements} statements instead of {shallow.statements}")
    if deep.rows > FIXED_ROWS + GROWTH * shallow.rows:
        found.append(f"{method} {path}: {deep.rows} rows instead of {shallow.rows}")
    if path.startswith("/admin/") and deep.length > shallow.length + FOLDED_BYTES:
        found.append(f"{method} {path}: {deep.length} bytes instead of {shallow.length}")
    return found


def test_each_read_of_the_api_takes_as_many_statements_and_at_most_linear_rows(admin_key: str) -> None:
    chain()
    api = Api(admin_key)
    api.get("/organizations/c0")  # the first request of a test reads more
    assert [problem for path in API_READS for problem in problems_of(api.send, "GET", path)] == []


def test_each_page_takes_as_many_statements_and_shows_the_ends_of_a_long_path_only(admin_client: Client) -> None:
    chain()
    admin_client.get("/admin/orgs/organization/")

    def get(method: str, path: str, body: None) -> Any:
        return admin_client.get(path)

    assert [problem for path in PAGES for problem in problems_of(get, "GET", path)] == []


def test_each_write_takes_as_many_statements_and_at_most_linear_rows(admin_key: str) -> None:
    _, deep = chain()
    tree_operations.create(key="leaf", name="Leaf", parent_id=deep.pk)  # so that both have children
    api = Api(admin_key)
    api.get("/organizations/c0")
    new = {"key": "n{id}", "name": "New", "parentId": "id:{id}"}
    assert problems_of(api.send, "POST", "/{id}/flag-2/false", status=202) == []
    assert problems_of(api.send, "POST", "/organizations", new, status=201) == []
    assert problems_of(api.send, "PATCH", "/organizations/key:n{id}", {"name": "Newer"}) == []
    assert problems_of(api.send, "POST", "/key:n{id}/flag-3/false") == []
    assert problems_of(api.send, "DELETE", "/organizations/key:n{id}", status=204) == []


def test_a_read_for_evaluation_reads_the_states_of_the_path_only_for_flags_that_have_not_arrived() -> None:
    _, deep = chain()
    before = rows_read()
    ids, keys, (flags, values, sources, _), _ = context_loader.load_organization(deep.pk)
    assert rows_read() - before < LEVELS + 10 * FLAGS
    assert (len(ids), keys[0], keys[-1]) == (LEVELS, "c0", deep.key)
    assert len(flags) == FLAGS - 1
    assert set(values) == {True}
    assert set(sources) == {ids[0]}


def test_the_nearest_ancestor_decides_until_a_value_has_arrived() -> None:
    _, deep = chain()
    flag = Flag.objects.get(key="flag-1")
    for level, enabled in ((1000, True), (2000, False)):
        at = Organization.objects.get(key=f"c{level}")
        FlagState.objects.create(
            organization_id=at.pk, flag_id=flag.pk, source_id=at.pk, change_number=level, enabled=enabled
        )
    (state,) = [one for one in as_effective(deep, effective_states(deep)) if one.flag_id == flag.pk]
    assert (state.stored_value, state.source_organization_id) == (False, Organization.objects.get(key="c2000").pk)
    flags, values, sources, numbers = context_loader.load_organization(deep.pk)[2]
    place = flags.index(flag.pk)
    assert (values[place], numbers[place]) == (False, 2000)
    assert sources[place] == state.source_organization_id


def test_a_whole_deep_subtree_moves_and_goes_without_recursion() -> None:
    chain()
    with actor.acting("command", actor="command:olga@desk"):
        second = Organization.objects.get(key="c1")
        tree_operations.move(organization_id=second.pk, parent_id=None)
        assert Organization.objects.get(key=f"c{LEVELS - 1}").level == LEVELS - 2
        tree_operations.delete(organization_id=second.pk, subtree=True)
    assert list(Organization.objects.values_list("key", flat=True)) == ["c0"]
