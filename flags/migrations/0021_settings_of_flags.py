"""Add the settings, and derive those of existing installations from the changes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models, transaction

AT_ONCE = 5_000
NEWEST_CHANGES = """
SELECT newest.flag_id, organization.tree_id, organization.lft, organization.rght, newest.organization_id,
       newest.number, newest.enabled, newest.source_id, newest.requested_by, newest.created_at
  FROM (SELECT DISTINCT ON (flag_id, organization_id) * FROM flags_change
         ORDER BY flag_id, organization_id, number DESC, id) newest
  JOIN orgs_organization organization ON organization.id = newest.organization_id
 ORDER BY newest.flag_id, organization.tree_id, organization.lft
"""
INSERT = """
INSERT INTO flags_flagsetting
       (organization_id, flag_id, number, kept_from_id, created_at, kind, enabled, requested_by, reason)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, '')
"""


class Decision(NamedTuple):
    """The newest change of a flag on an organization, and the value that holds there by it and by the changes above."""

    flag_id: int
    tree_id: int
    rght: int
    number: int
    enabled: bool
    source_id: int


def settings_of(changes: Iterator[tuple[Any, ...]]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of the settings that say the same as the newest change of each organization.

    `changes` are in the order of flags and of the tree, so `path` has the decisions above the organization. A change
    with a lower number than one above it is overwritten. A change that repeats the value from above, as those of moves
    do, only has its number. A value that was set elsewhere is one that the organization has kept in a move.
    """
    path: list[Decision] = []
    for flag_id, tree_id, lft, rght, organization_id, number, enabled, source_id, by, at in changes:
        while (path and (path[-1].flag_id, path[-1].tree_id) != (flag_id, tree_id)) or (path and path[-1].rght < lft):
            path.pop()
        above = path[-1] if path else None
        if above is not None and above.number >= number:
            continue
        path.append(Decision(flag_id, tree_id, rght, number, enabled, source_id))
        if above is not None and (above.enabled, above.source_id) == (enabled, source_id):
            yield organization_id, flag_id, number, None, at, "none", None, by
        else:
            kept_from = None if source_id == organization_id else source_id
            yield organization_id, flag_id, number, kept_from, at, "set", enabled, by


def fill(_apps: Any, schema_editor: Any) -> None:
    """Derive the settings from the changes."""
    connection = schema_editor.connection
    with (
        transaction.atomic(using=connection.alias),
        connection.chunked_cursor() as reader,
        connection.cursor() as writer,
    ):
        reader.execute(NEWEST_CHANGES)
        rows: list[tuple[Any, ...]] = []
        for row in settings_of(iter(reader)):
            rows.append(row)
            if len(rows) == AT_ONCE:
                writer.executemany(INSERT, rows)
                rows.clear()
        writer.executemany(INSERT, rows)


class Migration(migrations.Migration):
    dependencies = [
        ("flags", "0020_usage_of_environments"),
        ("orgs", "0019_gaps_in_the_nested_set"),
    ]

    operations = [
        migrations.CreateModel(
            name="FlagSetting",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "organization_id", "flag_id", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("number", models.BigIntegerField()),
                ("created_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("kind", models.CharField(choices=[("set", "Set"), ("none", "None")], max_length=6)),
                ("enabled", models.BooleanField(help_text="Empty if nothing is set.", null=True)),
                ("requested_by", models.CharField(default="", max_length=200)),
                ("reason", models.TextField(default="")),
                (
                    "flag",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="flags.flag",
                    ),
                ),
                (
                    "kept_from",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        help_text="The organization on which the value was set, if the organization has kept it in a move.",
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="orgs.organization",
                    ),
                ),
                (
                    "organization",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="orgs.organization",
                    ),
                ),
            ],
            options={
                "indexes": [models.Index(fields=["flag", "organization"], name="setting_of_flag")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("enabled__isnull", False), ("kind", "set")),
                            models.Q(("enabled__isnull", True), ("kind", "none")),
                            _connector="OR",
                        ),
                        name="setting_has_a_value_if_it_is_set",
                    )
                ],
            },
        ),
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
