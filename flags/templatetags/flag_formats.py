"""Template filters that show definitions and figures of flags to people."""

from __future__ import annotations

from typing import Protocol

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from flags.definitions import flag_words

register = template.Library()
register.filter("flag_state", flag_words.state_of)
register.filter("rollout_words", flag_words.rollout_in_words)
register.filter("environment_words", flag_words.environments_in_words)


class Sides(Protocol):
    """Numbers of organizations with a flag on and off."""

    @property
    def on(self) -> int | None:
        """The number of organizations with the flag on."""

    @property
    def off(self) -> int | None:
        """The number of organizations with the flag off."""


@register.filter
def share_bar(sides: Sides) -> SafeString:
    """A bar that is filled as far as the flag is on. The words beside it say the same (`share_words`)."""
    on, off = sides.on or 0, sides.off or 0
    width = f"{100 * on / (on + off):.2f}%" if on + off else "0%"
    return format_html(
        '<svg class="fs-share" aria-hidden="true"><rect class="fs-share-on" width="{}" height="100%"/></svg>', width
    )


@register.filter
def share_words(sides: Sides) -> str:
    """The numbers of organizations with the flag on and off, such as "on for 5, off for 3"."""
    on, off = sides.on or 0, sides.off or 0
    if not off:
        return f"on for all {on:,}"
    return f"on for {on:,}, off for {off:,}" if on else f"off for all {off:,}"
