"""Reads and changes of the attributes of an organization for a caller, whose access is checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from hashlib import blake2b
from typing import Any

from orgs.access.caller import Caller
from orgs.access.visible_organizations import OrganizationName, find_visible_organization, hold_visible_organization
from orgs.attributes.attribute_operations import Attributes, attributes_of, change


def read(caller: Caller, organization: OrganizationName) -> Attributes:
    """Return the attributes of an organization that the caller may see. The keys of others are left out.

    Raises OrganizationNotFound, OrganizationAmbiguous.
    """
    found = find_visible_organization(caller, organization)
    return attributes_of(found.pk, top_id=caller.organization_id)


def write(
    caller: Caller,
    organization: OrganizationName,
    *,
    values: Mapping[str, Any],
    remove: Collection[str] = (),
    replace: bool = False,
    check: Callable[[Attributes], None] | None = None,
    reason: str = "",
) -> Attributes:
    """Change the own attributes of an organization that the caller may see, and return all that it has afterwards.

    The parameters are those of `attribute_operations.change`; `check` gets the attributes before the change. Raises
    the errors of `change` and of `read`.
    """
    with hold_visible_organization(caller, organization) as held:

        def check_held() -> None:
            if check is not None:
                check(attributes_of(held.pk, top_id=caller.organization_id))

        change(organization_id=held.pk, values=values, remove=remove, replace=replace, check=check_held, reason=reason)
        return attributes_of(held.pk, top_id=caller.organization_id)


def version_of(attributes: Attributes) -> str:
    """Return a text that is the same for the same attributes, own and inherited, of the same organization."""
    content = json.dumps(asdict(attributes), sort_keys=True).encode()
    return f"{attributes.organization_id}-{blake2b(content, digest_size=8).hexdigest()}"
