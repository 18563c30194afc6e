"""django-mptt: the parent that it remembers for an organization.

Why: django-mptt moves a node when its parent differs from the one that the node was loaded with. Flagsite compares with
the database instead, under the tree lock, and places nodes itself, because django-mptt renumbers half a tree.

Private names: `MPTTModel._mptt_cached_fields` (the fields as they were loaded) and `MPTTModel._mptt_meta`.

At an upgrade check: `MPTTModel.save` moves a node when `parent` differs from `_mptt_cached_fields["parent"]`. It treats
`DeferredAttribute` there as "not loaded, so move the node". It writes a new node whose `lft` and `rght` are set without
placing it. `get_descendant_count` and `get_leafnodes` are the only methods that compute with `lft` and `rght`.
"""

from __future__ import annotations

from typing import Any

from django.db.models.query_utils import DeferredAttribute
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
