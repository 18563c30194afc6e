"""Loading definitions from the database for evaluation: all of them, or some with all their prerequisites."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import F, OuterRef, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.functions import Collate

from flags.definitions.fields import FIELDS
from flags.definitions.models import Flag
from flags.evaluation.engine import Definition
from flags.evaluation.wants import entries_of

EVALUATED = [spec for spec in FIELDS.values() if spec.evaluated_as]
PREREQUISITE_KEYS = ArraySubquery(
    Flag.prerequisites.through.objects.filter(from_flag=OuterRef("pk")).order_by("to_flag__key").values("to_flag__key")
)
"""The keys of a flag's prerequisites, sorted."""


NEEDED = """
WITH RECURSIVE needed AS (
    SELECT id FROM flags_flag WHERE id = ANY(%s) OR key = ANY(%s)
     UNION
    SELECT link.to_flag_id FROM needed JOIN flags_flag_prerequisites link ON link.from_flag_id = needed.id)
SELECT id FROM needed
"""


def load_definitions() -> dict[str, Definition]:
    """Return all definitions by key, in one query. Archived flags are included, because they evaluate to off."""
    return _load(Flag.objects.all(), whitelist=F("whitelist"))


def load_needed(*, ids: Iterable[int] = (), keys: Iterable[str] = ()) -> dict[str, Definition]:
    """Return the definitions of these flags and of all flags that they need, by key, in one query.

    A whitelist has at most one of its targeting keys, because it may be long: so it is clear whether it is empty.
    """
    needed = RawSQL(NEEDED, [list(ids), list(keys)])  # noqa: S611 - no input in it
    return _load(Flag.objects.filter(pk__in=needed), whitelist=F("whitelist__0_1"))


def _load(flags: QuerySet[Flag], *, whitelist: F) -> dict[str, Definition]:
    columns = [spec.name for spec in EVALUATED if spec.is_column and spec.name != "whitelist"]
    rows = flags.order_by(Collate("key", "C")).values(
        "id",
        "key",
        "version",
        "prerequisite_wants",
        *columns,
        prerequisite_keys=PREREQUISITE_KEYS,
        whitelisted=whitelist,
    )
    renamed = (
        {
            **row,
            "prerequisites": entries_of(row["prerequisite_keys"], row["prerequisite_wants"]),
            "whitelist": row["whitelisted"],
        }
        for row in rows
    )
    return {row["key"]: definition_from(row) for row in renamed}


def definition_from(row: Mapping[str, Any]) -> Definition:
    """Return the definition of a row with `id`, `key`, `version` and the evaluated fields by the model's names."""
    fields = {name: value for spec in EVALUATED for name, value in spec.evaluated(row[spec.name]).items()}
    return Definition(id=row["id"], key=row["key"], version=row["version"], **fields)
