"""Organizations whose rows the database refuses to write, chosen by tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection

INSTALL = """
CREATE TABLE IF NOT EXISTS test_refused (organization_id bigint PRIMARY KEY);
CREATE OR REPLACE FUNCTION test_refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM test_refused WHERE organization_id = NEW.organization_id) THEN
        RAISE EXCEPTION 'organization % is refused', NEW.organization_id;
    END IF;
    RETURN NEW;
END $$;
CREATE OR REPLACE TRIGGER test_refuse BEFORE INSERT OR UPDATE ON flags_flagstate
    FOR EACH ROW EXECUTE FUNCTION test_refuse();
"""
REMOVE = """
DROP TRIGGER IF EXISTS test_refuse ON flags_flagstate;
DROP FUNCTION IF EXISTS test_refuse();
DROP TABLE IF EXISTS test_refused;
"""


@contextmanager
def refusals() -> Iterator[None]:
    """While it lasts, `refuse` works."""
    _execute(INSTALL)
    try:
        yield
    finally:
        _execute(REMOVE)


def refuse(*organization_ids: int) -> None:
    """From now on the rows of exactly these organizations cannot be written."""
    _execute("DELETE FROM test_refused")
    for organization_id in organization_ids:
        _execute(f"INSERT INTO test_refused VALUES ({int(organization_id)})")


def _execute(statement: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement)
