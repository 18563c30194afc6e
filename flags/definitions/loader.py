"""Loading definitions from the database for evaluation: all of them, or some with all their prerequisites."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import F, OuterRef, QuerySet
from django.db.models.expressions import RawSQL
from django.db.models.functions import Collate

from flags.definitions.fields import FIELDS
from flags.definitions.models import Flag
from flags.evaluation.engine import Definition
from flags.evaluation.wants import entries_of
from flags.segments.loader import load_segments
from flags.targeting.rules import IN_SEGMENT
from flags.targeting.segments import Segments

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
    """Return all definitions by key. Archived flags are included, because they evaluate to off.

    It makes one query, and another one if rules ask for segments.
    """
    return with_segments(_load(Flag.objects.all(), whitelist=F("whitelist")), load_segments)


def load_needed(*, ids: Iterable[int] = (), keys: Iterable[str] = ()) -> dict[str, Definition]:
    """Return the definitions of these flags and of all flags that they need, by key.

    A list of targeting keys has at most one of them, because it may be long: so it is clear whether it is empty. It
    makes one query, and another one if rules ask for segments.
    """
    needed = RawSQL(NEEDED, [list(ids), list(keys)])  # noqa: S611 - no input in it
    definitions = _load(Flag.objects.filter(pk__in=needed), whitelist=F("whitelist__0_1"))
    return with_segments(definitions, partial(load_segments, most=1))


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


def with_segments(definitions: dict[str, Definition], load: Callable[[set[str]], Segments]) -> dict[str, Definition]:
    """Return definitions whose clauses have their segments. `load` is called if they name some, with their keys."""
    named = {
        key
        for one in definitions.values()
        for rule in one.targeting_rules
        for clause in rule.clauses
        if clause.op == IN_SEGMENT
        for key in clause.values
        if isinstance(key, str)
    }
    if not named:
        return definitions
    segments = load(named)
    return {
        key: replace(one, targeting_rules=segments.resolved(one.targeting_rules)) if one.targeting_rules else one
        for key, one in definitions.items()
    }


def definition_from(row: Mapping[str, Any]) -> Definition:
    """Return the definition of a row with `id`, `key`, `version` and the evaluated fields by the model's names."""
    fields = {name: value for spec in EVALUATED for name, value in spec.evaluated(row[spec.name]).items()}
    return Definition(id=row["id"], key=row["key"], version=row["version"], **fields)
