"""The URL paths of flags, definitions, evaluation and schedules."""

from __future__ import annotations

from django.urls import path

from flags.definitions.api import Definitions, OneDefinition, PlanOfDefinition
from flags.evaluation.api import Check, Explain
from flags.insights.api import AdoptionOfFlag
from flags.manifest.api import Manifest, ManifestFlags, OneManifestFlag
from flags.moving.api import FlagdFile, FlagFile, FlagImports, PlanOfFlagFile, PlanOfFlagImport
from flags.schedules.api import CancelSchedule, OneSchedule, PlanOfSchedule, RetrySchedule, Schedules
from flags.segments.api import OneSegment, PlanOfSegment, SegmentList, UsesOfSegment
from flags.serving.operator_invalidation_api import InvalidateCache
from flags.states.api import OneState, SetFlag, StatesOfOrganization
from flags.states.listed_settings_api import SettingsOfFlag, SettingsOfOrganization
from flags.states.setting_api import ExemptionOfOrganization, PlanOfSetting, SettingOfOrganization
from flags.states.tree_plan_api import PlanOfTreeChange
from flags.statistics.api import AllStatistics, OneStatistic
from flags.undoing.api import PlanOfUndo, UndoChange
from flagsite.core.api import path_converters  # noqa: F401 - registers <id:…>
from orgs.tree import path_converters as organization_converters  # noqa: F401 - registers <organization:…>

urlpatterns = [
    path("v1/feature-flags/<str:name>/adoption", AdoptionOfFlag.as_view(), name="adoption"),
    path("v1/feature-flags", Definitions.as_view(), name="definitions"),
    path("v1/feature-flags/<str:name>", OneDefinition.as_view(), name="definition"),
    path("v1/feature-flags/<str:name>/settings", SettingsOfFlag.as_view(), name="settings-of-flag"),
    path("v1/feature-flags/<str:name>/plan", PlanOfDefinition.as_view(), name="plan-of-definition"),
    path("v1/feature-flags/<str:name>/check", Check.as_view(), name="check-flag"),
    path("v1/feature-flags/<str:name>/explain", Explain.as_view(), name="explain-flag"),
    path("v1/flag-file", FlagFile.as_view(), name="flag-file"),
    path("v1/flag-file/plan", PlanOfFlagFile.as_view(), name="plan-of-flag-file"),
    path("v1/segments", SegmentList.as_view(), name="segments"),
    path("v1/segments/<str:key>", OneSegment.as_view(), name="segment"),
    path("v1/segments/<str:key>/plan", PlanOfSegment.as_view(), name="plan-of-segment"),
    path("v1/segments/<str:key>/uses", UsesOfSegment.as_view(), name="uses-of-segment"),
    path("v1/flag-imports", FlagImports.as_view(), name="flag-imports"),
    path("v1/flag-imports/plan", PlanOfFlagImport.as_view(), name="plan-of-flag-import"),
    path("openfeature/v0/manifest", Manifest.as_view(), name="manifest"),
    path("openfeature/v0/manifest/flags", ManifestFlags.as_view(), name="manifest-flags"),
    path("openfeature/v0/manifest/flags/<str:key>", OneManifestFlag.as_view(), name="manifest-flag"),
    path("v1/statistics", AllStatistics.as_view(), name="statistics"),
    path("v1/statistics/<str:name>", OneStatistic.as_view(), name="statistic"),
    path("v1/changes/<id:number>/undo", UndoChange.as_view(), name="undo-change"),
    path("v1/changes/<id:number>/undo/plan", PlanOfUndo.as_view(), name="plan-of-undo"),
    path("v1/schedules", Schedules.as_view(), name="schedules"),
    path("v1/schedules/<id:schedule_id>", OneSchedule.as_view(), name="schedule"),
    path("v1/schedules/<id:schedule_id>/plan", PlanOfSchedule.as_view(), name="plan-of-schedule"),
    path("v1/schedules/<id:schedule_id>/cancel", CancelSchedule.as_view(), name="cancel-schedule"),
    path("v1/schedules/<id:schedule_id>/retry", RetrySchedule.as_view(), name="retry-schedule"),
    path(
        "v1/organizations/<organization:organization>/settings",
        SettingsOfOrganization.as_view(),
        name="settings-of-organization",
    ),
    path(
        "v1/organizations/<organization:organization>/flags/<str:featureFlagName>",
        SettingOfOrganization.as_view(),
        name="setting",
    ),
    path(
        "v1/organizations/<organization:organization>/flags/<str:featureFlagName>/plan",
        PlanOfSetting.as_view(),
        name="plan-setting",
    ),
    path(
        "v1/organizations/<organization:organization>/flags/<str:featureFlagName>/exemption",
        ExemptionOfOrganization.as_view(),
        name="exemption",
    ),
    path("v1/organizations/<organization:organization>/flagd", FlagdFile.as_view(), name="flagd-file"),
    path("organizations/<organization:organization>/plan", PlanOfTreeChange.as_view(), name="plan-tree-change"),
    path("organizations/<organization:organization>/flags", StatesOfOrganization.as_view(), name="flags"),
    path("internal/cache/invalidate", InvalidateCache.as_view(), name="invalidate-cache"),
    path("<top_organization:orgId>/<str:featureFlagName>", OneState.as_view(), name="flag"),
    path("<top_organization:orgId>/<str:featureFlagName>/<str:enabled>", SetFlag.as_view(), name="set-flag"),
]
