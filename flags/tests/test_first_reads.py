"""The first read of an organization costs what its own rows cost, whatever the planner believes of its line."""

from __future__ import annotations

import pytest
from django.db import connection

from conftest import Cast
from flags import places

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
        cursor.execute(f"EXPLAIN {places.PLACE}", {"id": cast.oslo.pk})
        plan = "\n".join(line for (line,) in cursor.fetchall())
    assert "flags_flagstate_pkey" in plan
    assert "Seq Scan on flags_flagstate" not in plan
