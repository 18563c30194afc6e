"""Flags for code in this Django project: `from flags.client import is_enabled, value, feature_flag, override_flag`.

docs/django.md shows each of them at work.
"""

from flags.client.context import asking_for
from flags.client.decorator import feature_flag
from flags.client.evaluate import ais_enabled, is_enabled
from flags.client.overrides import override_flag
from flags.client.values import ValueDetails, avalue, avalue_details, avariant, value, value_details, variant

__all__ = [
    "ValueDetails", "ais_enabled", "asking_for", "avalue", "avalue_details", "avariant", "feature_flag", "is_enabled",
    "override_flag", "value", "value_details", "variant",
]  # fmt: skip
