"""Times to come on the command line."""

from __future__ import annotations

import re
from argparse import ArgumentTypeError
from datetime import datetime, timedelta

from flags.schedules.moments import now
from orgs.command_arguments import UNITS, iso_moment


def when(text: str) -> datetime:
    """How long from now by the database's clock (30s, 15m, 2h, 7d, 4w), or an ISO date or time; UTC unless it says."""
    ahead = re.fullmatch(r"([0-9]{1,5})([smhdw])", text)
    if ahead:
        return now() + timedelta(**{UNITS[ahead[2]]: int(ahead[1])})
    moment = iso_moment(text)
    if moment is None:
        raise ArgumentTypeError(f"{text!r} is neither a time such as 2030-01-31T12:00:00Z nor one such as 30m, 2h, 7d.")
    return moment
