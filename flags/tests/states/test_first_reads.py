"""The first read of an organization costs what its own rows cost, whatever the planner believes of its path."""

from __future__ import annotations

import pytest
from django.db import connection

from conftest import Cast
from flags.evaluation import context_loader
from flags.evaluation.explain import PATH_ENTRIES
from flags.states.set_flag import set_flag
from orgs.tree import locks
from orgs.tree.models import Organization
from orgs.tree.paths import path_parameters

MANY_STATES = """
INSERT INTO flags_flagstate (organization_id, flag_id, enabled, source_id, change_number, updated_at)
SELECT organization, flag, true, organization, 1, now()
  FROM generate_series(1000001, 1000300) organization, generate_series(1, 40) flag
"""


@pytest.mark.django_db
def test_it_looks_at_no_other_organizations_rows(cast: Cast) -> None:
    with connection.cursor() as cursor:
        cursor.execute(MANY_STATES)
        cursor.execute("ANALYZE flags_flagstate")
        cursor.execute(f"EXPLAIN {context_loader.PATH_AND_STATES}", path_parameters([cast.oslo.pk]))
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "flags_flagstate_pkey" in plan
    assert "Seq Scan on flags_flagstate" not in plan


@pytest.mark.django_db
def test_it_takes_the_nearest_ancestors_state_where_an_organization_waits_for_its_own(cast: Cast) -> None:
    set_flag(organization_id=cast.oslo.pk, flag_key="f", enabled=True)
    locks.lock_all_trees_for_writing()
    Organization.objects.filter(pk=cast.north.pk).update(parent=None)
    Organization.objects.filter(pk=cast.bergen.pk).update(parent=cast.oslo)
    context = context_loader.load_context(cast.bergen.pk)
    assert context.keys == ("north", "oslo", "bergen")
    assert [state.source_id for state in context.states.values()] == [cast.oslo.pk]
    with connection.cursor() as cursor:
        cursor.execute(PATH_ENTRIES, path_parameters([cast.bergen.pk]) | {"flag": 1})
        assert [key for _, key, *_ in cursor.fetchall()] == ["north", "oslo", "bergen"]
