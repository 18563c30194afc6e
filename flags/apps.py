"""Flags and their values."""

from django.apps import AppConfig


class FlagsConfig(AppConfig):
    name = "flags"
    verbose_name = "Flags"

    def ready(self) -> None:
        """Register the kinds of jobs and the chores, say what grows old, listen to the tree, look at the settings."""
        from flags.client import context  # noqa: PLC0415
        from flags.definitions import purge  # noqa: F401, PLC0415 - a kind of job
        from flags.schedules import backoff, due, retention  # noqa: F401, PLC0415 - the last is a chore
        from flags.states import (  # noqa: PLC0415 - models are loaded only now
            admin_section,
            inheritance,
            preview,
            propagation,  # noqa: F401 - a kind of job
        )
        from jobs.operations import cleanup  # noqa: PLC0415
        from orgs.tree import admin_sections  # noqa: PLC0415
        from orgs.tree.signals import organization_removing, organizations_placed  # noqa: PLC0415

        admin_sections.sections.append(admin_section.SECTION)
        admin_sections.move_previews.append(preview.move)
        cleanup.other_old_rows.append(retention.OLD_SCHEDULES)
        context.check_settings()
        backoff.default_max_retries()  # warns
        organizations_placed.connect(inheritance.take_over, dispatch_uid="flags.take_over")
        organization_removing.connect(inheritance.remove_states, dispatch_uid="flags.remove_states")
