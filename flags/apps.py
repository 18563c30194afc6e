"""The Django app of flags."""

from django.apps import AppConfig


class FlagsConfig(AppConfig):
    name = "flags"
    verbose_name = "Flags"

    def ready(self) -> None:
        """Register kinds of jobs, maintenance tasks, retention, admin sections and signals, and check the settings."""
        from flags import events  # noqa: F401, PLC0415 - registers what can be told
        from flags.batch_evaluation import batch_evaluation_job  # noqa: F401, PLC0415 - registers a kind of job
        from flags.client import context  # noqa: PLC0415
        from flags.definitions import flag_pages, purge  # noqa: PLC0415 - purge registers a kind of job
        from flags.evaluation import job_gates  # noqa: PLC0415
        from flags.history import admin_section as history_section  # noqa: PLC0415
        from flags.history import retention as history_retention  # noqa: PLC0415
        from flags.insights import usage_store  # noqa: PLC0415
        from flags.replay import replay_job  # noqa: F401, PLC0415 - registers a kind of job
        from flags.reports import report_job  # noqa: F401, PLC0415 - registers a kind of job
        from flags.schedules import (  # noqa: PLC0415
            backoff,
            due,  # noqa: F401 - a maintenance task
            ending,
            move_preview,
            organization_figures,
            plans_of_keys,
            retention,
        )
        from flags.segments import segment_pages  # noqa: PLC0415
        from flags.serving import operator_invalidation  # noqa: PLC0415
        from flags.states import (  # noqa: PLC0415 - Django has loaded the models only now
            admin_section,
            deletion_planning,
            import_planning,
            inheritance,
            move_planning,
            partial_changes,
            preview,
            propagation,  # noqa: F401 - registers a kind of job
            recalculation,  # noqa: F401 - registers a kind of job
            tree_plan_api,
            unused_custom_values,
        )
        from flags.statistics import computation  # noqa: F401, PLC0415 - registers kinds of jobs
        from flags.undoing import undo_page  # noqa: PLC0415
        from jobs.admin import job_page  # noqa: PLC0415
        from jobs.operations import cleanup, gates  # noqa: PLC0415
        from jobs.upkeep import maintenance_job  # noqa: PLC0415
        from orgs.access import key_plans  # noqa: PLC0415
        from orgs.audit import subject_pages, undo_pages  # noqa: PLC0415
        from orgs.importing import value_effects  # noqa: PLC0415
        from orgs.tree import admin_sections, agreed_deletions, move_options  # noqa: PLC0415
        from orgs.tree.signals import organizations_placed, organizations_removing  # noqa: PLC0415

        subject_pages.finders["flag"] = flag_pages.find
        subject_pages.finders["segment"] = segment_pages.find
        undo_pages.finders.append(undo_page.address_for)
        job_page.undo_finders.append(undo_page.address_for_job)
        admin_sections.sections += [admin_section.SECTION, history_section.SECTION]
        admin_sections.figures.append(organization_figures.scheduled)
        admin_sections.move_previews += [preview.move, move_preview.move]
        admin_sections.move_plans.append(tree_plan_api.planned_move)
        admin_sections.deletion_previews.append(preview.deletion)
        admin_sections.deletion_plans.append(tree_plan_api.planned_deletion)
        value_effects.counts.append(import_planning.effects_of_import)
        agreed_deletions.checks.append(deletion_planning.check_agreed_deletion)
        move_options.checks.append(move_planning.check_agreed)
        cleanup.add_old_rows(retention.OLD_SCHEDULES, usage_store.OLD_DAYS, history_retention.OLD_HISTORY)
        cleanup.add_old_rows(unused_custom_values.UNUSED_CUSTOM_VALUES)
        cleanup.before_deletion.append(partial_changes.remember_partial_changes)
        maintenance_job.invalidate_caches.append(operator_invalidation.invalidate_all)
        gates.checks.append(job_gates.allows)
        purge.before_purge.append(ending.end_those_of_purged_flag)
        key_plans.planners.append(plans_of_keys.PLANNER)
        context.check_settings()
        backoff.default_max_retries()  # warns of a value out of range
        organizations_placed.connect(inheritance.write_placed_states, dispatch_uid="flags.take_over")
        organizations_removing.connect(inheritance.remove_states, dispatch_uid="flags.remove_states")
