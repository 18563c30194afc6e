"""How pages show for how many organizations a flag is on, or has each variant: as a bar, and in words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

COLOURS = 6
"""How many colours the variants of a flag share, in the order of its definition."""
MOST_NAMED = 4
"""Variants that the words name; the others are one number."""


class VariantSide(Protocol):
    """The number of organizations with one variant."""

    @property
    def variant(self) -> str | None:
        """The key of the variant; None if there is no value."""

    @property
    def organizations(self) -> int:
        """The number of organizations."""

    @property
    def is_custom(self) -> bool:
        """Whether it stands for custom values."""

    @property
    def word(self) -> str:
        """What people call the variant."""


class Sides(Protocol):
    """Numbers of organizations with a flag on and off, and with each variant."""

    @property
    def on(self) -> int | None:
        """The number of organizations with the flag on."""

    @property
    def off(self) -> int | None:
        """The number of organizations with the flag off."""

    @property
    def variants(self) -> Sequence[VariantSide]:
        """Those with each variant; empty for a boolean flag."""


def share_bar(sides: Sides) -> SafeString:
    """A bar that is filled as far as the flag is on, or has a part for each variant.

    The words beside it say the same (`share_words`).
    """
    on, off = sides.on or 0, sides.off or 0
    if sides.variants:
        parts = _parts(sides.variants)
    else:
        parts = [("fs-share-on", "0", f"{100 * on / (on + off):.2f}%" if on + off else "0%")]
    rectangles = format_html_join("", '<rect class="{}" x="{}" width="{}" height="100%"/>', parts)
    return format_html('<svg class="fs-share" aria-hidden="true">{}</svg>', rectangles)


def share_words(sides: Sides) -> str:
    """The numbers of organizations with the flag on and off, such as "on for 5, off for 3", or with each variant."""
    if sides.variants:
        return variant_words(sides.variants)
    on, off = sides.on or 0, sides.off or 0
    if not off:
        return f"on for all {on:,}"
    return f"on for {on:,}, off for {off:,}" if on else f"off for all {off:,}"


def variant_words(variants: Sequence[VariantSide]) -> str:
    """The numbers of organizations with each variant that somebody has, such as "blue for 5, no value for 3"."""
    had = sorted((each for each in variants if each.organizations), key=lambda each: -each.organizations)
    if len(had) == 1:
        return f"{had[0].word} for all {had[0].organizations:,}"
    words = [f"{each.word} for {each.organizations:,}" for each in had[:MOST_NAMED]]
    if others := had[MOST_NAMED:]:
        words.append(f"{len(others)} more for {sum(each.organizations for each in others):,}")
    return ", ".join(words)


def _parts(variants: Sequence[VariantSide]) -> list[tuple[str, str, str]]:
    """Return the class, the place and the width of the part of each variant. No value leaves the bar empty."""
    every = sum(each.organizations for each in variants) or 1
    parts, before = [], 0
    for position, each in enumerate(variants):
        if each.organizations and each.variant is not None:
            colour = "custom" if each.is_custom else position % COLOURS
            place, width = 100 * before / every, 100 * each.organizations / every
            parts.append((f"fs-share-{colour}", f"{place:.2f}%", f"{width:.2f}%"))
        before += each.organizations
    return parts
