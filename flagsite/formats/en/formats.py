"""Days and moments as in 2026-11-25 22:11:37 UTC. Django looks for these names; what is not here is as in its own."""

DATE_FORMAT = SHORT_DATE_FORMAT = "Y-m-d"
TIME_FORMAT = "H:i:s"
DATETIME_FORMAT = SHORT_DATETIME_FORMAT = "Y-m-d H:i:s T"
FIRST_DAY_OF_WEEK = 1
