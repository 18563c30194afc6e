"""The arguments of commands that say what a set gives a flag: on, off, a variant, or a custom value."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandParser

from flagsite.core.console.command import WrongUsage

ON, OFF = "on", "off"


def add_choice(parser: CommandParser, *others: str) -> None:
    """Add the argument `on` or `off`, or one of the other words, and the options that stand in its place."""
    words = [ON, OFF, *others]
    parser.add_argument("value", nargs="?", choices=words, metavar="|".join(words))
    parser.add_argument("--variant", metavar="KEY", help="instead of on: the variant of the flag")
    parser.add_argument("--value", dest="custom", metavar="JSON", help="instead of on: a custom value")


def chosen_field(
    value: str | None, variant: str | None, custom: str | None, words: Sequence[str] = ()
) -> dict[str, Any]:
    """Return the choice as a request has it: `enabled`, `variant` or `value`. For one of the other words: nothing.

    Raises WrongUsage unless there is exactly one choice.
    """
    if sum(each is not None for each in (value, variant, custom)) != 1:
        raise WrongUsage(f"Write exactly one of {', '.join([ON, OFF, *words])}, --variant and --value.")
    if variant is not None:
        return {"variant": variant}
    if custom is not None:
        try:
            return {"value": json.loads(custom)}
        except (ValueError, RecursionError) as error:
            raise WrongUsage(f"--value is not JSON: {error}. A text needs quotes: '\"blue\"'.") from error
    return {} if value in words else {"enabled": value == ON}
