"""All models of the app, because Django looks for them here. Each subject defines its own models."""

from flags.definitions.models import Flag, new_salt
from flags.history.models import FormerDefinition, FormerPlacement, FormerSegment, HistoryBegin
from flags.insights.models import EnvironmentUseDay, FlagAdoption, FlagUse, FlagUseDay, FlagUseTotal, StaleFlagNotice
from flags.reports.models import Report
from flags.schedules.models import FlagSchedule
from flags.segments.models import Segment
from flags.states.models import Change, CustomValue, FlagSetting, FlagState, ReplacedSetting
from flags.statistics.models import Statistic

__all__ = [
    "Change",
    "CustomValue",
    "EnvironmentUseDay",
    "Flag",
    "FlagAdoption",
    "FlagSchedule",
    "FlagSetting",
    "FlagState",
    "FlagUse",
    "FlagUseDay",
    "FlagUseTotal",
    "FormerDefinition",
    "FormerPlacement",
    "FormerSegment",
    "HistoryBegin",
    "ReplacedSetting",
    "Report",
    "Segment",
    "StaleFlagNotice",
    "Statistic",
    "new_salt",
]
