"""The flags' definitions as evaluation needs them, read from the database."""

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
NEEDED = ArraySubquery(
    Flag.prerequisites.through.objects.filter(from_flag=OuterRef("pk")).order_by("to_flag__key").values("to_flag__key")
)
"""The keys of a flag's prerequisites, in order."""


def load_definitions() -> dict[str, Definition]:
    """Every definition, by key, in one query; archived ones too, since evaluation must say that they are off."""
    columns = [spec.name for spec in EVALUATED if spec.is_column]
    flags = Flag.objects.order_by(Collate("key", "C")).values("id", "key", "version", *columns, needed=NEEDED)
    return {row["key"]: _definition(row | {"prerequisites": row["needed"]}) for row in flags}


def _definition(row: Mapping[str, Any]) -> Definition:
    fields = {spec.evaluated_as: spec.to_evaluation(row[spec.name]) for spec in EVALUATED}
    return Definition(id=row["id"], key=row["key"], version=row["version"], **fields)
