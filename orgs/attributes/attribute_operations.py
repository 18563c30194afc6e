"""Reads and changes of the attributes of organizations, without a check of access."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connection, transaction

from orgs.attributes.attribute_rules import MAX_ATTRIBUTES, Value, check_all
from orgs.attributes.inherited_attributes import held_on
from orgs.attributes.models import OrganizationAttribute
from orgs.audit import audit_log
from orgs.errors import OrganizationNotFound, TooManyAttributes
from orgs.tree.models import Organization
from orgs.tree.paths import path_keys_of
from orgs.tree.subtrees import Stretch

MOST_READ = 100_000
"""The number of attributes of organizations that are read to find the names in use."""
NAMES_IN_USE = """
SELECT DISTINCT name FROM (SELECT name FROM orgs_organizationattribute ORDER BY id DESC LIMIT %(read)s) AS latest
 ORDER BY name LIMIT %(most)s
"""


@dataclass(frozen=True, slots=True)
class InheritedAttribute:
    """An attribute that an organization has from one above it. `source_key` is None if the caller may not see that."""

    name: str
    value: Any
    source_id: int
    source_key: str | None


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of one organization: its own by name, and those that the organizations above it give it.

    `inherited` has an attribute also where the organization's own one hides it. Nulls end what comes from above, so
    they are among the own attributes only.
    """

    organization_id: int
    own: Mapping[str, Value]
    inherited: list[InheritedAttribute]

    @property
    def held(self) -> dict[str, Value]:
        """What holds in the organization, by name."""
        values = {one.name: one.value for one in self.inherited} | dict(self.own)
        return {name: value for name, value in sorted(values.items()) if value is not None}


def attributes_of(organization_id: int, *, top_id: int | None = None) -> Attributes:
    """Return the attributes of an organization. Keys of organizations above `top_id` are left out.

    Raises OrganizationNotFound.
    """
    path = path_keys_of(organization_id)
    if not path:
        raise OrganizationNotFound
    ids = list(path)
    seen = set(ids[ids.index(top_id) :] if top_id in path else ids)
    inherited = [
        InheritedAttribute(one.name, one.value, one.source_id, path[one.source_id] if one.source_id in seen else None)
        for one in held_on(ids[:-1])
    ]
    return Attributes(organization_id, own_attributes(organization_id), inherited)


def own_attributes(organization_id: int) -> dict[str, Value]:
    """Return the own attributes of an organization by name, in the order of the names."""
    rows = OrganizationAttribute.objects.filter(organization_id=organization_id).order_by("name")
    return dict(rows.values_list("name", "value"))


WRITE = """
INSERT INTO orgs_organizationattribute (organization_id, name, value)
SELECT %(organization)s, name, value FROM unnest(%(names)s::text[], %(values)s::jsonb[]) AS new (name, value)
    ON CONFLICT (organization_id, name) DO UPDATE SET value = EXCLUDED.value
"""


def names_in_use(most: int) -> list[str]:
    """Return the names of the attributes that organizations have, `most` at most, in the order of the alphabet.

    Only the latest MOST_READ attributes are read, so that the time does not grow with the number of organizations.
    """
    with connection.cursor() as cursor:
        cursor.execute(NAMES_IN_USE, {"read": MOST_READ, "most": most})
        return [name for (name,) in cursor.fetchall()]


def change(
    *,
    organization_id: int,
    values: Mapping[str, Any],
    remove: Collection[str] = (),
    replace: bool = False,
    check: Callable[[], None] = lambda: None,
    reason: str = "",
) -> bool:
    """Give an organization these own attributes, and take away those in `remove`; with `replace`, all others.

    Only rows of this one organization are written. `check` runs before the change, when no other change of these
    attributes can come between. Returns whether something has changed. Raises InvalidAttribute, TooManyAttributes,
    OrganizationNotFound, and what `check` raises.
    """
    check_all(values)
    with transaction.atomic():
        organization = Organization.objects.select_for_update(no_key=True).filter(pk=organization_id).first()
        if organization is None:
            raise OrganizationNotFound
        check()
        before = own_attributes(organization_id)
        after = {} if replace else {name: value for name, value in before.items() if name not in remove}
        after |= values
        if len(after) > MAX_ATTRIBUTES:
            raise TooManyAttributes
        gone = before.keys() - after.keys()
        written = {name: value for name, value in after.items() if name not in before or differs(before[name], value)}
        if not gone and not written:
            return False
        OrganizationAttribute.objects.filter(organization_id=organization_id, name__in=gone).delete()
        if written:
            texts = [json.dumps(value) for value in written.values()]
            with connection.cursor() as cursor:
                cursor.execute(WRITE, {"organization": organization_id, "names": list(written), "values": texts})
        names = sorted(gone | written.keys())
        details: dict[str, Any] = {
            when: {name: state[name] for name in names if name in state}
            for when, state in (("before", before), ("after", after))
        }
        subject = f"organization:{organization.key}"
        audit_log.record("organization.attributes", subject, organization_id=organization_id, reason=reason, **details)
    return True


def differs(one: Value, other: Value) -> bool:
    """Return whether two values are not the same JSON: true is not 1, but 1.0 and 1 are the same number."""
    return one != other or isinstance(one, bool) is not isinstance(other, bool)


def remove_attributes(*, stretch: Stretch, **_: Any) -> None:
    """Delete the attributes of organizations that will be deleted (receiver of `organizations_removing`)."""
    organizations = Organization.objects.of(stretch).values("pk")
    OrganizationAttribute.objects.filter(organization__in=organizations).delete()
