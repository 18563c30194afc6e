"""The admin site's pages of flags and schedules. Each imported module registers its pages."""

from flags.definitions import admin as definitions_admin  # noqa: F401
from flags.reports import admin as reports_admin  # noqa: F401
from flags.schedules import admin as schedules_admin  # noqa: F401
from flags.segments import admin as segments_admin  # noqa: F401
from flags.statistics import admin as statistics_admin  # noqa: F401
