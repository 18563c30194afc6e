"""One lock for each tree, instead of one for all trees.

`docs/locking.md` explains the locks, and `docs/decisions/0012-one-lock-per-tree.md` the reasons. A process of the
release before takes the lock of all trees exclusively for each change of a tree. This still excludes everybody else, and
the triggers accept it.
"""

from __future__ import annotations

from importlib import import_module
from typing import ClassVar

from django.db import migrations

in_one_transaction = import_module("orgs.migrations.0019_gaps_in_the_nested_set").in_one_transaction

NUMBERS_OF_TREES = """
CREATE SEQUENCE orgs_tree_number AS integer;
SELECT setval('orgs_tree_number', COALESCE((SELECT max(tree_id) FROM orgs_organization), 0) + 1, FALSE);

CREATE FUNCTION orgs_locked_trees() RETURNS int4multirange LANGUAGE sql STABLE
RETURN COALESCE(NULLIF(current_setting('flagsite.locked_trees', TRUE), ''), '{}')::int4multirange;
COMMENT ON FUNCTION orgs_locked_trees() IS 'The trees that this transaction has locked exclusively.';

CREATE FUNCTION orgs_new_trees(amount integer) RETURNS int4multirange LANGUAGE plpgsql AS $$
DECLARE
    drawn int4multirange := '{}';
    missing integer := amount;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(7260142);
    WHILE missing > 0 LOOP
        drawn := drawn + (
            SELECT COALESCE(range_agg(int4range(number, number, '[]')), '{}')
              FROM (SELECT nextval('orgs_tree_number')::integer AS number
                      FROM generate_series(1, missing) OFFSET 0) numbers
             WHERE NOT EXISTS (SELECT FROM orgs_organization WHERE tree_id = number));
        SELECT amount - COALESCE(sum(upper(one) - lower(one)), 0) INTO missing FROM unnest(drawn) one;
    END LOOP;
    PERFORM set_config('flagsite.locked_trees', (orgs_locked_trees() + drawn)::text, TRUE);
    RETURN drawn;
END $$;
COMMENT ON FUNCTION orgs_new_trees(integer) IS
    'Draw numbers for new trees. Nobody else knows them before the commit, so this transaction may change them.';
"""
# A subtransaction takes the locks. If an organization has left its tree meanwhile, the rollback of the subtransaction
# releases these locks, and the function tries again. So nobody keeps the lock of a former tree, and everybody takes the
# locks of several trees in ascending order. The rollback also releases the lock of all trees if there are too many
# trees, because the caller then takes it exclusively. The table is read by its indexes, however wrong the statistics
# were when the session planned the queries.
LOCK_TREES = """
CREATE FUNCTION orgs_lock_trees(
    ids bigint[], keys text[] DEFAULT '{}', is_exclusive boolean DEFAULT FALSE, wait_ms integer DEFAULT NULL
) RETURNS integer[] LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    deadline timestamptz := clock_timestamp() + wait_ms * interval '1 millisecond';
    former_timeout text := current_setting('lock_timeout');
    wanted integer[];
    present integer[];
    tree integer;
    locked boolean := FALSE;
BEGIN
    WHILE NOT locked LOOP
        BEGIN
            IF deadline IS NOT NULL THEN
                PERFORM set_config('lock_timeout', GREATEST(
                    1, 1000 * extract(epoch FROM deadline - clock_timestamp()))::integer::text, TRUE);
            END IF;
            PERFORM pg_advisory_xact_lock_shared(7260142);
            wanted := ARRAY(SELECT tree_id FROM orgs_organization WHERE id = ANY(ids)
                             UNION SELECT tree_id FROM orgs_organization WHERE key = ANY(keys) ORDER BY 1);
            IF is_exclusive AND cardinality(wanted) > 64 THEN
                RAISE EXCEPTION USING ERRCODE = 'TREES', MESSAGE = 'These are too many trees.';
            END IF;
            FOREACH tree IN ARRAY wanted LOOP
                IF deadline IS NOT NULL THEN
                    PERFORM set_config('lock_timeout', GREATEST(
                        1, 1000 * extract(epoch FROM deadline - clock_timestamp()))::integer::text, TRUE);
                END IF;
                IF is_exclusive THEN
                    PERFORM pg_advisory_xact_lock(7260142, tree);
                ELSE
                    PERFORM pg_advisory_xact_lock_shared(7260142, tree);
                END IF;
            END LOOP;
            present := ARRAY(SELECT tree_id FROM orgs_organization WHERE id = ANY(ids)
                              UNION SELECT tree_id FROM orgs_organization WHERE key = ANY(keys));
            IF NOT present <@ wanted THEN
                RAISE EXCEPTION USING ERRCODE = 'TREES', MESSAGE = 'An organization has left its tree.';
            END IF;
            IF deadline IS NOT NULL THEN
                PERFORM set_config('lock_timeout', former_timeout, TRUE);
            END IF;
            IF is_exclusive AND wanted <> '{}' THEN
                PERFORM set_config('flagsite.locked_trees', (orgs_locked_trees() + (
                    SELECT range_agg(int4range(number, number, '[]')) FROM unnest(wanted) number))::text, TRUE);
            END IF;
            locked := TRUE;
        EXCEPTION WHEN SQLSTATE 'TREES' THEN
            IF is_exclusive AND cardinality(wanted) > 64 THEN
                RETURN NULL;
            END IF;
        END;
    END LOOP;
    RETURN wanted;
END $$;
COMMENT ON FUNCTION orgs_lock_trees(bigint[], text[], boolean, integer) IS
    'Lock the trees of these organizations until the end of the transaction. NULL: too many trees, none is locked.';
"""
# Who holds the lock of all trees exclusively may change each tree, as the release before does. The session can hold it
# too, and can let go of it before the commit. So the function takes it once more, for the transaction.
CHECK_LOCK = """
CREATE FUNCTION orgs_check_tree_lock(tree integer) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF orgs_locked_trees() @> tree THEN
        RETURN;
    END IF;
    IF NOT EXISTS (
        SELECT FROM pg_locks
         WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted AND mode = 'ExclusiveLock'
           AND classid = 0 AND objid = 7260142 AND objsubid = 1
    ) THEN
        RAISE EXCEPTION 'The organization tree % was about to change without the tree lock.', tree
            USING ERRCODE = 'check_violation',
                  HINT = 'Call orgs.tree.locks.lock_trees_for_writing() first in the transaction, or in SQL'
                         ' orgs_lock_trees(ids, is_exclusive => TRUE).';
    END IF;
    PERFORM pg_advisory_xact_lock(7260142);
    PERFORM set_config('flagsite.locked_trees', '{(,)}', TRUE);
END $$;
"""
REQUIRE_LOCK_OF_ROWS = """
DROP TRIGGER orgs_require_tree_lock ON orgs_organization;
CREATE OR REPLACE FUNCTION orgs_require_tree_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        PERFORM orgs_check_tree_lock(OLD.tree_id);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM orgs_check_tree_lock(NEW.tree_id);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER orgs_require_tree_lock_insert AFTER INSERT ON orgs_organization
   FOR EACH ROW WHEN (NOT orgs_locked_trees() @> NEW.tree_id) EXECUTE FUNCTION orgs_require_tree_lock();
CREATE TRIGGER orgs_require_tree_lock_delete AFTER DELETE ON orgs_organization
   FOR EACH ROW WHEN (NOT orgs_locked_trees() @> OLD.tree_id) EXECUTE FUNCTION orgs_require_tree_lock();
CREATE TRIGGER orgs_require_tree_lock_update
 AFTER UPDATE OF parent_id, tree_id, lft, rght, level, descendant_count ON orgs_organization
   FOR EACH ROW WHEN (NOT (orgs_locked_trees() @> OLD.tree_id AND orgs_locked_trees() @> NEW.tree_id))
   EXECUTE FUNCTION orgs_require_tree_lock();
"""
REQUIRE_LOCK_OF_ALL = """
DROP TRIGGER orgs_require_tree_lock_insert ON orgs_organization;
DROP TRIGGER orgs_require_tree_lock_delete ON orgs_organization;
DROP TRIGGER orgs_require_tree_lock_update ON orgs_organization;
CREATE OR REPLACE FUNCTION orgs_require_tree_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_locks
         WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted AND mode = 'ExclusiveLock'
           AND classid = 0 AND objid = 7260142 AND objsubid = 1
    ) THEN
        RAISE EXCEPTION 'The organization tree was about to change without the tree lock.'
            USING ERRCODE = 'check_violation',
                  HINT = 'Call orgs.locks.lock_tree_for_writing() first in the transaction.';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER orgs_require_tree_lock
    BEFORE INSERT OR DELETE OR UPDATE OF parent_id, tree_id, lft, rght, level, descendant_count ON orgs_organization
    FOR EACH STATEMENT EXECUTE FUNCTION orgs_require_tree_lock();
"""
# As in migration 0010, which says why no circle is possible. The path lies in trees that the transaction has locked, so
# nobody else changes it before the commit.
REFUSE_CIRCLE = """
CREATE OR REPLACE FUNCTION orgs_refuse_circle() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    path record;
BEGIN
    IF current_setting('transaction_isolation') IN ('repeatable read', 'serializable') THEN
        RAISE EXCEPTION 'The organization tree was about to change in an isolation level that hides other changes.'
            USING ERRCODE = 'check_violation', HINT = 'Change the tree in READ COMMITTED.';
    END IF;
    IF TG_OP = 'UPDATE' AND NEW.id <> OLD.id THEN
        RAISE EXCEPTION 'The organization % was about to get another id.', OLD.id USING ERRCODE = 'check_violation';
    END IF;
    {lock}
    WITH RECURSIVE above AS (
        SELECT parent_id, ARRAY[id] AS ids, ARRAY[key::text] AS keys, FALSE AS is_circle{tree}
          FROM orgs_organization WHERE id = NEW.id
         UNION ALL
        SELECT parent.parent_id, above.ids || parent.id, above.keys || parent.key::text, parent.id = ANY(above.ids)
               {parent_tree}
          FROM above JOIN orgs_organization parent ON parent.id = above.parent_id
         WHERE NOT above.is_circle)
    SELECT keys, is_circle{trees} INTO path FROM above WHERE is_circle OR parent_id IS NULL;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'The organization % was about to get a parent that does not exist.', NEW.key
            USING ERRCODE = 'foreign_key_violation', HINT = 'Create the parent first, or in the same statement.';
    ELSIF path.is_circle THEN
        RAISE EXCEPTION 'An organization was about to be below itself: %.', array_to_string(path.keys, ' below ')
            USING ERRCODE = 'check_violation', CONSTRAINT = 'orgs_no_circle_of_parents',
                  HINT = 'Give one of them a parent that is not below it.';
    END IF;
    {check}
    RETURN NULL;
END $$;
"""
UNDER_THE_LOCKS_OF_TREES = REFUSE_CIRCLE.format(
    lock="PERFORM orgs_check_tree_lock(NEW.tree_id);",
    tree=", ARRAY[tree_id] AS trees",
    parent_tree=", CASE WHEN parent.tree_id = ANY(above.trees) THEN above.trees ELSE above.trees || parent.tree_id END",
    trees=", trees",
    check="PERFORM orgs_check_tree_lock(tree) FROM unnest(path.trees) tree;",
)
UNDER_THE_LOCK_OF_ALL = REFUSE_CIRCLE.format(
    lock="PERFORM pg_advisory_xact_lock(7260142);", tree="", parent_tree="", trees="", check=""
)
FORGET = """
DROP FUNCTION orgs_check_tree_lock(integer);
DROP FUNCTION orgs_lock_trees(bigint[], text[], boolean, integer);
DROP FUNCTION orgs_new_trees(integer);
DROP FUNCTION orgs_locked_trees();
DROP SEQUENCE orgs_tree_number;
"""
FORWARDS = NUMBERS_OF_TREES + LOCK_TREES + CHECK_LOCK + REQUIRE_LOCK_OF_ROWS + UNDER_THE_LOCKS_OF_TREES
BACKWARDS = REQUIRE_LOCK_OF_ALL + UNDER_THE_LOCK_OF_ALL + FORGET


class Migration(migrations.Migration):
    atomic = False  # each attempt is a transaction of its own
    dependencies: ClassVar = [("orgs", "0019_gaps_in_the_nested_set")]
    operations: ClassVar = [migrations.RunPython(in_one_transaction(FORWARDS), in_one_transaction(BACKWARDS))]
