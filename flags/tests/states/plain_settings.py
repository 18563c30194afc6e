"""The migration that derived the settings of older installations from their changes."""

from __future__ import annotations

import importlib

from django.db import connection

from flags.states.models import FlagSetting

MIGRATION = importlib.import_module("flags.migrations.0021_settings_of_flags")


class Editor:
    """What the migration needs of a schema editor."""

    connection = connection


def derive_anew() -> None:
    """Throw all settings away, and derive them from the changes, as for an installation that is older than them."""
    FlagSetting.objects.all().delete()
    MIGRATION.fill(None, Editor)
