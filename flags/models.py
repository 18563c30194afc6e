"""Django looks for an app's models here; each subject has its own."""

from flags.definitions.models import Flag, new_salt
from flags.insights.models import FlagAdoption, FlagUse, FlagUseTotal
from flags.schedules.models import FlagSchedule
from flags.states.models import Change, FlagState

__all__ = ["Change", "Flag", "FlagAdoption", "FlagSchedule", "FlagState", "FlagUse", "FlagUseTotal", "new_salt"]
