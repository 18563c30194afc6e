"""Loading all definitions from the database for evaluation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef
from django.db.models.functions import Collate

from flags.definitions.fields import FIELDS
from flags.definitions.models import Flag
from flags.evaluation.engine import Definition

EVALUATED = [spec for spec in FIELDS.values() if spec.evaluated_as]
PREREQUISITE_KEYS = ArraySubquery(
    Flag.prerequisites.through.objects.filter(from_flag=OuterRef("pk")).order_by("to_flag__key").values("to_flag__key")
)
"""The keys of a flag's prerequisites, sorted."""


def load_definitions() -> dict[str, Definition]:
    """Return all definitions by key, in one query. Archived flags are included, because they evaluate to off."""
    columns = [spec.name for spec in EVALUATED if spec.is_column]
    flags = Flag.objects.order_by(Collate("key", "C")).values(
        "id", "key", "version", *columns, prerequisite_keys=PREREQUISITE_KEYS
    )
    return {row["key"]: _definition(row | {"prerequisites": row["prerequisite_keys"]}) for row in flags}


def _definition(row: Mapping[str, Any]) -> Definition:
    fields = {spec.evaluated_as: spec.to_evaluation(row[spec.name]) for spec in EVALUATED}
    return Definition(id=row["id"], key=row["key"], version=row["version"], **fields)
