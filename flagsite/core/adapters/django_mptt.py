"""django-mptt: what it believes an organization's parent to be, and the closing of gaps in the tree.

Why: django-mptt moves a node when its parent differs from the one that the node was loaded with. Flagsite compares with
the database instead, under the tree lock, and deletes a whole subtree in one statement, after which the gap in the
nested set has to be closed.

Private names: `MPTTModel._mptt_cached_fields` (the fields as they were loaded), `MPTTModel._mptt_meta` and
`TreeManager._close_gap`.

At an upgrade check: `MPTTModel.save` moves a node when `parent` differs from `_mptt_cached_fields["parent"]`, and takes
`DeferredAttribute` there for "not loaded, thus to be moved"; a new node is placed by `TreeManager.insert_node`, which
`orgs.tree.models` opens for `save` alone; `_close_gap(size, target, tree_id)` moves everything right of `target` by
`size` to the left.
"""

from __future__ import annotations

from typing import Any

from django.db.models.query_utils import DeferredAttribute
from mptt.managers import TreeManager
from mptt.models import MPTTModel

DISTRIBUTION = "django-mptt"
CHECKED_VERSION = "0.20.0"


def known_parent_id(node: MPTTModel) -> Any:
    """The id of the parent that django-mptt takes for the one in the database; None for a root."""
    return node._mptt_cached_fields["parent"]


def set_known_parent_id(node: MPTTModel, parent_id: int | None) -> None:
    """Tell django-mptt which parent the database has."""
    node._mptt_cached_fields["parent"] = parent_id


def forget_known_parent(node: MPTTModel) -> None:
    """Have the next save take the node for moved, whatever its parent was."""
    node._mptt_cached_fields["parent"] = DeferredAttribute


def remember_loaded_fields(node: MPTTModel) -> None:
    """Tell django-mptt that the database has the fields as the node has them now."""
    node._mptt_meta.update_mptt_cached_fields(node)


def close_gap(manager: TreeManager, *, width: int, right_of: int, tree_id: int) -> None:
    """Move everything right of `right_of` in this tree to the left, by `width` numbers of the nested set."""
    manager._close_gap(width, right_of, tree_id)
