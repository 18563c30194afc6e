"""What a definition field may be: the same rules for the API, the admin site and schedules.

Every `FieldSpec` names its rule. `flags.definitions.service` asks the rules about all that it writes. Serializers and
forms ask the same rules earlier, so that a person reads beside the field what is wrong.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError

from flags.evaluation.rollout import HASHES

LONGEST_DESCRIPTION = 10_000
LONGEST_TARGETING_KEY, MOST_LISTED = 255, 10_000
LONGEST_TAG, MOST_TAGS = 64, 50
MOST_ENVIRONMENTS = 50
DEEPEST_LEVEL = 1_000
ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
"""What PostgreSQL cannot keep, or UTF-8 cannot write."""


def true_or_false(value: Any) -> None:
    """Neither words nor numbers are taken for one."""
    if not isinstance(value, bool):
        raise ValidationError("Neither true nor false.")


def percentage(value: Any) -> None:
    """None is 100."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or not 0 <= value <= 100:  # noqa: PLR2004
        raise ValidationError("Not a number from 0 to 100.")
    if Decimal(str(value)) != round(Decimal(str(value)), 3):
        raise ValidationError("It has more than three decimals.")


def level(value: Any) -> None:
    """Of an ancestor; the root's is 0."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= DEEPEST_LEVEL):
        raise ValidationError(f"Not a whole number from 0 to {DEEPEST_LEVEL}.")


def hash_version(value: Any) -> None:
    """One of the formulas that there are."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in HASHES:
        raise ValidationError(f"There is no such version; these there are: {', '.join(map(str, HASHES))}.")


def description(value: Any) -> None:
    """Any text."""
    if not isinstance(value, str) or len(value) > LONGEST_DESCRIPTION or UNWRITABLE.search(value):
        raise ValidationError(f"Not a text of at most {LONGEST_DESCRIPTION} characters.")


def environments(value: Any) -> None:
    """To what each of these environments forces the flag."""
    if not isinstance(value, dict) or len(value) > MOST_ENVIRONMENTS:
        raise ValidationError(f"Not an object with at most {MOST_ENVIRONMENTS} names.")
    if not all(isinstance(name, str) and ENVIRONMENT.fullmatch(name) for name in value):
        raise ValidationError("A name has 1 to 64 of A-Z a-z 0-9 . _ - and starts with a letter or digit.")
    if not all(isinstance(forced, bool) for forced in value.values()):
        raise ValidationError("Each is forced to true or false.")


def targeting_keys(value: Any) -> None:
    """Those that are whitelisted."""
    _texts(value, most=MOST_LISTED, longest=LONGEST_TARGETING_KEY)


def tags(value: Any) -> None:
    """What a flag is found by."""
    _texts(value, most=MOST_TAGS, longest=LONGEST_TAG)


def _texts(value: Any, *, most: int, longest: int) -> None:
    if not isinstance(value, list) or len(value) > most:
        raise ValidationError(f"Not a list of at most {most} texts.")
    if not all(isinstance(text, str) and 0 < len(text) <= longest and not UNWRITABLE.search(text) for text in value):
        raise ValidationError(f"Each is a text of 1 to {longest} characters.")
