"""The triggers of organizations cost as much as there is to tell, whatever the statistics say of the table."""

from __future__ import annotations

import pytest
from django.db import connection

from conftest import Cast
from orgs.tree import locks

COPY_OF_ACME = """
INSERT INTO orgs_organization
SELECT (jsonb_populate_record(acme, jsonb_build_object(
           'id', nextval('orgs_organization_id_seq'), 'key', %s || number, 'tree_id', 1000000 + number))).*
  FROM orgs_organization acme, generate_series(%s::int, %s::int) number WHERE key = 'acme'
"""
PROMISE_AN_EMPTY_TABLE = "UPDATE pg_class SET reltuples = 0 WHERE oid = 'orgs_organization'::regclass"
ROWS_READ = "SELECT seq_tup_read FROM pg_stat_xact_user_tables WHERE relid = 'orgs_organization'::regclass"


@pytest.mark.django_db
def test_new_numeric_keys_are_looked_up_also_if_the_statistics_promise_an_empty_table(cast: Cast) -> None:
    locks.lock_all_trees_for_writing()
    with connection.cursor() as cursor:
        cursor.execute(COPY_OF_ACME, ["store-", 1, 2_000])
        cursor.execute(PROMISE_AN_EMPTY_TABLE)
        cursor.execute(ROWS_READ)
        (before,) = cursor.fetchone()
        cursor.execute(COPY_OF_ACME, ["", 900_001, 900_050])
        cursor.execute(ROWS_READ)
        (after,) = cursor.fetchone()
    assert after - before == 0
