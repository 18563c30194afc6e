"""No statement changes the tree without the tree lock, whoever sends it: the last line behind orgs.locks."""

from __future__ import annotations

from typing import ClassVar

from django.db import migrations

REQUIRE = """
CREATE FUNCTION orgs_require_tree_lock() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT EXISTS (
        SELECT FROM pg_locks
         WHERE locktype = 'advisory' AND pid = pg_backend_pid() AND granted AND mode = 'ExclusiveLock'
           AND classid = 0 AND objid = 7260142 AND objsubid = 1  -- orgs.locks.TREE_LOCK
    ) THEN
        RAISE EXCEPTION 'The organization tree was about to change without the tree lock.'
            USING ERRCODE = 'check_violation',
                  HINT = 'Call orgs.locks.lock_tree_for_writing() first in the transaction.';
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER orgs_require_tree_lock
    BEFORE INSERT OR DELETE OR UPDATE OF parent_id, tree_id, lft, rght, level ON orgs_organization
    FOR EACH STATEMENT EXECUTE FUNCTION orgs_require_tree_lock();
"""
FORGET = """
DROP TRIGGER orgs_require_tree_lock ON orgs_organization;
DROP FUNCTION orgs_require_tree_lock();
"""


class Migration(migrations.Migration):
    dependencies: ClassVar = [("orgs", "0001_initial")]
    operations: ClassVar = [migrations.RunSQL(REQUIRE, FORGET)]
