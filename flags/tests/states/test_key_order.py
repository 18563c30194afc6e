"""Every statement that writes many states locks them in the order of their key, whatever way it finds them."""

from __future__ import annotations

import pytest
from django.db import connection, transaction

from flags.definitions import service
from flags.definitions.models import Flag
from flags.states import sql
from flags.states.setting_rules import DecidedValue, Piece
from flags.states.sql import Span
from jobs.engine import runner
from orgs.tree import locks
from orgs.tree.models import Organization
from orgs.tree.subtrees import Subtree

# Half of the trees' orders (lft) go against the order of the ids, as moves and late arrivals make them.
ORGANIZATIONS = """
INSERT INTO orgs_organization (name, key, tree_id, lft, rght, level, descendant_count)
SELECT 'x', 'k' || n, CASE WHEN n %% %(every)s = 0 THEN 99 ELSE 1 END,
       2 * (%(total)s - n) + 2, 2 * (%(total)s - n) + 3, 1, 0 FROM generate_series(1, %(total)s) n
"""
STATES = """
INSERT INTO flags_flagstate (organization_id, flag_id, enabled, source_id, change_number, updated_at)
SELECT id, 1, true, id, 0, now() FROM orgs_organization WHERE tree_id = 99 ORDER BY random()
"""
WATCH = """
CREATE TABLE test_written (position serial, organization_id bigint);
CREATE FUNCTION test_watch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO test_written (organization_id) VALUES (NEW.organization_id);
    RETURN NEW;
END $$;
CREATE TRIGGER test_watch BEFORE INSERT OR UPDATE ON flags_flagstate FOR EACH ROW EXECUTE FUNCTION test_watch()
"""


@pytest.mark.django_db
@pytest.mark.parametrize("first_set", [True, False])
@pytest.mark.parametrize("pieces", [1, 5])
@pytest.mark.parametrize(("total", "every"), [(40, 1), (2000, 1), (4000, 200), (4000, 4)])
def test_rows_are_written_in_the_order_of_their_key(total: int, every: int, pieces: int, first_set: bool) -> None:
    subtree = Subtree(0, 99, 1, 2 * total + 9, total // every)
    values = [Piece(1 + number * total // pieces, DecidedValue(1, False, 1, 5 + number)) for number in range(pieces)]
    Flag.objects.create(pk=1, key="flag")
    with transaction.atomic(), connection.cursor() as cursor:
        locks.lock_all_trees_for_writing()
        cursor.execute(ORGANIZATIONS, {"total": total, "every": every})
        if not first_set:
            cursor.execute(STATES)
        cursor.execute("ANALYZE orgs_organization, flags_flagstate")
        cursor.execute(WATCH)
        sql.begin_chunk(0)
        span = sql.next_span(subtree, after=0, most=max(10, total // every // 100)) or Span(0, 0, 0)
        assert sql.write_decided(subtree, span, values, job_id=None).rows == span.count
        cursor.execute("SELECT array_agg(organization_id ORDER BY position) FROM test_written")
        written = cursor.fetchone()[0]
    assert len(written) == span.count
    assert written == sorted(written)


WATCH_DELETIONS = """
CREATE TABLE test_deleted (position serial, source text, organization_id bigint);
CREATE FUNCTION test_watch_deletions() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO test_deleted (source, organization_id) VALUES (TG_TABLE_NAME, OLD.organization_id);
    RETURN OLD;
END $$;
CREATE TRIGGER test_watch BEFORE DELETE ON flags_flagstate FOR EACH ROW EXECUTE FUNCTION test_watch_deletions();
CREATE TRIGGER test_watch BEFORE DELETE ON flags_flagsetting FOR EACH ROW EXECUTE FUNCTION test_watch_deletions()
"""
DELETED = "SELECT source, array_agg(organization_id ORDER BY position) FROM test_deleted GROUP BY source"
LIE_BACKWARDS = """
INSERT INTO flags_flagstate (organization_id, flag_id, enabled, source_id, change_number, updated_at)
SELECT id, %(flag)s, TRUE, id, 1, now() FROM orgs_organization ORDER BY id DESC;
INSERT INTO flags_flagsetting (organization_id, flag_id, number, created_at, kind, enabled, requested_by, reason)
SELECT id, %(flag)s, 1, now(), 'set', TRUE, '', '' FROM orgs_organization ORDER BY id DESC
"""


@pytest.mark.django_db(transaction=True)
def test_a_purge_deletes_states_and_settings_in_the_order_of_their_key() -> None:
    """A move and a deletion of organizations delete the same rows, and must not wait for a purge in a circle."""
    flag = service.create(key="over", values={}, by="user:olga")
    with transaction.atomic(), connection.cursor() as cursor:
        locks.lock_all_trees_for_writing()
        cursor.execute(ORGANIZATIONS, {"total": 500, "every": 1})
        cursor.execute(LIE_BACKWARDS, {"flag": flag.pk})
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE orgs_organization, flags_flagstate, flags_flagsetting")  # which would speak for a scan
        cursor.execute(WATCH_DELETIONS)
        try:
            service.archive(key="over", by="user:olga")
            service.purge(key="over", by="user:olga")
            while runner.run_next("default"):
                pass
            cursor.execute(DELETED)
            deleted = dict(cursor.fetchall())
        finally:
            cursor.execute("DROP FUNCTION test_watch_deletions() CASCADE; DROP TABLE test_deleted")
    everybody = list(Organization.objects.order_by("pk").values_list("pk", flat=True))
    assert deleted == {"flags_flagstate": everybody, "flags_flagsetting": everybody}
