"""Validators of definition fields, which the API, the admin site and schedules share.

Every `FieldSpec` names its validator. `flags.definitions.service` calls the validators for everything that it writes.
Serializers and forms call the same validators earlier, so that an error message appears beside its field. A validator
raises ValidationError.
"""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError

from flags.evaluation.hashes import HASHES
from flags.targeting.checks import checked_default_rollout, checked_rules
from flags.values.checks import check_variant_key, checked_list

MAX_DESCRIPTION_LENGTH = 10_000
MAX_TARGETING_KEY_LENGTH, MAX_WHITELIST_SIZE = 255, 10_000
LONGEST_BODY = 32 * 2**20
"""In bytes, of a request with a definition. JSON may need 12 bytes for a character: `\\ud83d\\ude00`."""
MAX_TAG_LENGTH, MAX_TAGS = 64, 50
MAX_ENVIRONMENTS = 50
MAX_LEVEL = 1_000
ENVIRONMENT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
UNWRITABLE = re.compile("[\x00\ud800-\udfff]")
"""Characters that PostgreSQL or UTF-8 cannot store."""


def true_or_false(value: Any) -> None:
    """Check for a boolean. Words and numbers are refused."""
    if not isinstance(value, bool):
        raise ValidationError("Neither true nor false.")


def percentage(value: Any) -> None:
    """Check for a number from 0 to 100 with at most three decimals. None means 100."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)) or not 0 <= value <= 100:  # noqa: PLR2004
        raise ValidationError("Not a number from 0 to 100.")
    if Decimal(str(value)) != round(Decimal(str(value)), 3):
        raise ValidationError("It has more than three decimals.")


def level(value: Any) -> None:
    """Check for the level of an ancestor, or None. The root has level 0."""
    if value is not None and (isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_LEVEL):
        raise ValidationError(f"Not a whole number from 0 to {MAX_LEVEL}.")


def hash_version(value: Any) -> None:
    """Check for a known version of the rollout's hash."""
    if isinstance(value, bool) or not isinstance(value, int) or value not in HASHES:
        raise ValidationError(f"Unknown version. The known versions are: {', '.join(map(str, HASHES))}.")


def description(value: Any) -> None:
    """Check for a text that PostgreSQL can store."""
    if not isinstance(value, str) or len(value) > MAX_DESCRIPTION_LENGTH or UNWRITABLE.search(value):
        raise ValidationError(f"Not a text of at most {MAX_DESCRIPTION_LENGTH} characters.")


def environments(value: Any) -> None:
    """Check for an object with names of environments and booleans."""
    if not isinstance(value, dict) or len(value) > MAX_ENVIRONMENTS:
        raise ValidationError(f"Not an object with at most {MAX_ENVIRONMENTS} names.")
    if not all(isinstance(name, str) and ENVIRONMENT.fullmatch(name) for name in value):
        raise ValidationError("A name has 1 to 64 of A-Z a-z 0-9 . _ - and starts with a letter or digit.")
    if not all(isinstance(forced, bool) for forced in value.values()):
        raise ValidationError("Every value must be true or false.")


def targeting_rules(value: Any) -> None:
    """Check for a list of targeting rules."""
    checked_rules(value)


def default_rollout(value: Any) -> None:
    """Check for a rollout by weight, or None."""
    if value is not None:
        checked_default_rollout(value)


def variants(value: Any) -> None:
    """Check for a list of variants, with or without their numbers."""
    is_list = isinstance(value, list) and all(isinstance(each, dict) for each in value)
    checked_list([{k: v for k, v in each.items() if k != "number"} for each in value] if is_list else value)


def variant_key(value: Any) -> None:
    """Check for the key of a variant. Empty and None stand for none."""
    if value not in ("", None):
        check_variant_key(value)


def targeting_keys(value: Any) -> None:
    """Check for a list of targeting keys."""
    _texts(value, max_size=MAX_WHITELIST_SIZE, max_length=MAX_TARGETING_KEY_LENGTH)


def tags(value: Any) -> None:
    """Check for a list of tags."""
    _texts(value, max_size=MAX_TAGS, max_length=MAX_TAG_LENGTH)


def _texts(value: Any, *, max_size: int, max_length: int) -> None:
    if not isinstance(value, list) or len(value) > max_size:
        raise ValidationError(f"Not a list of at most {max_size} texts.")
    if not all(isinstance(text, str) and 0 < len(text) <= max_length and not UNWRITABLE.search(text) for text in value):
        raise ValidationError(f"Every entry must be a text of 1 to {max_length} characters.")
