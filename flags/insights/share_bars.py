"""How pages show for how many organizations a flag is on: as a bar, and in words."""

from __future__ import annotations

from typing import Protocol

from django.utils.html import format_html
from django.utils.safestring import SafeString


class Sides(Protocol):
    """Numbers of organizations with a flag on and off."""

    @property
    def on(self) -> int | None:
        """The number of organizations with the flag on."""

    @property
    def off(self) -> int | None:
        """The number of organizations with the flag off."""


def share_bar(sides: Sides) -> SafeString:
    """A bar that is filled as far as the flag is on. The words beside it say the same (`share_words`)."""
    on, off = sides.on or 0, sides.off or 0
    width = f"{100 * on / (on + off):.2f}%" if on + off else "0%"
    return format_html(
        '<svg class="fs-share" aria-hidden="true"><rect class="fs-share-on" width="{}" height="100%"/></svg>', width
    )


def share_words(sides: Sides) -> str:
    """The numbers of organizations with the flag on and off, such as "on for 5, off for 3"."""
    on, off = sides.on or 0, sides.off or 0
    if not off:
        return f"on for all {on:,}"
    return f"on for {on:,}, off for {off:,}" if on else f"off for all {off:,}"
