"""Settings as anybody can read them: by walking from an organization to its root."""

from __future__ import annotations

import importlib

from django.db import connection

from flags.states.models import FlagSetting
from flags.tests.states.naive import Holds, NaiveModel

MIGRATION = importlib.import_module("flags.migrations.0021_settings_of_flags")


class Editor:
    """What the migration needs of a schema editor."""

    connection = connection


def derive_anew() -> None:
    """Throw all settings away, and derive them from the changes, as for an installation that is older than them."""
    FlagSetting.objects.all().delete()
    MIGRATION.fill(None, Editor)


def said_by_settings(model: NaiveModel) -> dict[int, dict[int, Holds]]:
    """What the settings say of the organizations of the model: the nearest one decides, with the highest number."""
    found: dict[int, dict[int, Holds]] = {}
    settings_of = {(each.organization_id, each.flag_id): each for each in FlagSetting.objects.all()}
    for organization in model.parents:
        for flag in {flag for _, flag in settings_of}:
            line = [settings_of[place, flag] for place in model.line(organization) if (place, flag) in settings_of]
            nearest = next((each for each in line if each.enabled is not None), None)
            if nearest is not None:
                source = nearest.kept_from_id or nearest.organization_id
                number = max(each.number for each in line)
                found.setdefault(organization, {})[flag] = Holds(bool(nearest.enabled), source, number)
    return found
