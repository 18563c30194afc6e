"""Flags for code in this Django project: `from flags.client import is_enabled, feature_flag, override_flag`.

docs/django.md shows each of them at work.
"""

from flags.client.context import asking_for
from flags.client.decorator import feature_flag
from flags.client.evaluate import ais_enabled, is_enabled
from flags.client.overrides import override_flag

__all__ = ["ais_enabled", "asking_for", "feature_flag", "is_enabled", "override_flag"]
