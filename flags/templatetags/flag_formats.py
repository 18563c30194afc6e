"""Template filters that show definitions and figures of flags to people."""

from __future__ import annotations

from django import template

from flags.definitions import flag_words
from flags.insights import share_bars

register = template.Library()
register.filter("flag_state", flag_words.state_of)
register.filter("rollout_words", flag_words.rollout_in_words)
register.filter("environment_words", flag_words.environments_in_words)
register.filter("variant_lines", flag_words.variant_lines)
register.filter("default_rollout_words", flag_words.default_rollout_in_words)
register.filter("targeting_words", flag_words.targeting_rules_in_words)
register.filter("share_bar", share_bars.share_bar)
register.filter("share_words", share_bars.share_words)
