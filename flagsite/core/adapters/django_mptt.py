"""django-mptt: the parent that it remembers for an organization, and the closing of gaps in the tree.

Why: django-mptt moves a node when its parent differs from the one that the node was loaded with. Flagsite compares with
the database instead, under the tree lock. Flagsite also deletes a whole subtree in one statement, and then has to close
the gap in the nested set.

Private names: `MPTTModel._mptt_cached_fields` (the fields as they were loaded), `MPTTModel._mptt_meta` and
`TreeManager._close_gap`.

At an upgrade check: `MPTTModel.save` moves a node when `parent` differs from `_mptt_cached_fields["parent"]`. It treats
`DeferredAttribute` there as "not loaded, so move the node". `TreeManager.insert_node` places a new node, and
`orgs.tree.models` allows this for `save` only. `_close_gap(size, target, tree_id)` moves everything to the right of
`target` to the left by `size`.
"""

from __future__ import annotations

from typing import Any

from django.db.models.query_utils import DeferredAttribute
from mptt.managers import TreeManager
from mptt.models import MPTTModel

DISTRIBUTION = "django-mptt"
CHECKED_VERSION = "0.20.0"


def known_parent_id(node: MPTTModel) -> Any:
    """Return the id of the parent that django-mptt expects in the database; None for a root."""
    return node._mptt_cached_fields["parent"]


def set_known_parent_id(node: MPTTModel, parent_id: int | None) -> None:
    """Tell django-mptt which parent the database has."""
    node._mptt_cached_fields["parent"] = parent_id


def forget_known_parent(node: MPTTModel) -> None:
    """Let the next save move the node, whatever parent django-mptt remembers."""
    node._mptt_cached_fields["parent"] = DeferredAttribute


def remember_loaded_fields(node: MPTTModel) -> None:
    """Tell django-mptt that the database has the fields as the node has them now."""
    node._mptt_meta.update_mptt_cached_fields(node)


def close_gap(manager: TreeManager, *, width: int, right_of: int, tree_id: int) -> None:
    """Move everything to the right of `right_of` in this tree to the left, by `width` numbers of the nested set."""
    manager._close_gap(width, right_of, tree_id)
