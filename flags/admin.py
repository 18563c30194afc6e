"""The pages of the admin site about flags; each module registers its own."""

from flags.definitions import admin as definitions_admin  # noqa: F401
from flags.schedules import admin as schedules_admin  # noqa: F401
