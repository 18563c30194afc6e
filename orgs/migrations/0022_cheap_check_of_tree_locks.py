"""The triggers find quickly that a row's tree is locked, however many trees the transaction has locked.

To read a multirange costs time for each of its ranges, and the triggers check every row. The locked trees stand in the
setting as text, such as `{[5,6),[9,10)}`. So whether a tree is there by itself is a search in this text. Only the
others, such as 5 in `{[5,8)}`, are looked for in the multirange: neighbours make it short.
"""

from __future__ import annotations

from importlib import import_module
from typing import ClassVar

from django.db import migrations

in_one_transaction = import_module("orgs.migrations.0019_gaps_in_the_nested_set").in_one_transaction
before = import_module("orgs.migrations.0020_one_lock_per_tree")

IS_TREE_LOCKED = """
CREATE FUNCTION orgs_is_tree_locked(tree integer) RETURNS boolean LANGUAGE sql STABLE
RETURN strpos(COALESCE(current_setting('flagsite.locked_trees', TRUE), ''),
              '[' || tree || ',' || tree::bigint + 1 || ')') > 0
    OR orgs_locked_trees() @> tree;
COMMENT ON FUNCTION orgs_is_tree_locked(integer) IS 'Whether this transaction has locked the tree exclusively.';
"""
CHECK_ROWS = """
CREATE OR REPLACE TRIGGER orgs_require_tree_lock_insert AFTER INSERT ON orgs_organization
   FOR EACH ROW WHEN (NOT {new}) EXECUTE FUNCTION orgs_require_tree_lock();
CREATE OR REPLACE TRIGGER orgs_require_tree_lock_delete AFTER DELETE ON orgs_organization
   FOR EACH ROW WHEN (NOT {old}) EXECUTE FUNCTION orgs_require_tree_lock();
CREATE OR REPLACE TRIGGER orgs_require_tree_lock_update
 AFTER UPDATE OF parent_id, tree_id, lft, rght, level, descendant_count ON orgs_organization
   FOR EACH ROW WHEN (NOT ({old} AND {old_or_new}))
   EXECUTE FUNCTION orgs_require_tree_lock();
"""
CHEAPLY = CHECK_ROWS.format(
    old="orgs_is_tree_locked(OLD.tree_id)",
    new="orgs_is_tree_locked(NEW.tree_id)",
    old_or_new="(NEW.tree_id = OLD.tree_id OR orgs_is_tree_locked(NEW.tree_id))",
)
AS_BEFORE = CHECK_ROWS.format(
    old="orgs_locked_trees() @> OLD.tree_id",
    new="orgs_locked_trees() @> NEW.tree_id",
    old_or_new="orgs_locked_trees() @> NEW.tree_id",
)
CHECK_LOCK = before.CHECK_LOCK.replace("CREATE FUNCTION", "CREATE OR REPLACE FUNCTION")
CHECK_LOCK_CHEAPLY = CHECK_LOCK.replace("orgs_locked_trees() @> tree THEN", "orgs_is_tree_locked(tree) THEN")
FORWARDS = IS_TREE_LOCKED + CHECK_LOCK_CHEAPLY + CHEAPLY
BACKWARDS = CHECK_LOCK + AS_BEFORE + "DROP FUNCTION orgs_is_tree_locked(integer);"


class Migration(migrations.Migration):
    atomic = False  # each attempt is a transaction of its own
    dependencies: ClassVar = [("orgs", "0021_no_index_of_prefixes_of_keys")]
    operations: ClassVar = [migrations.RunPython(in_one_transaction(FORWARDS), in_one_transaction(BACKWARDS))]
