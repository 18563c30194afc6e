"""Which flags are asked for, counted without a write per request."""

from __future__ import annotations


def count(organization_id: int | None, flag_key: str) -> None:
    """One flag was evaluated by its name."""


def count_all(organization_id: int | None) -> None:
    """Every flag was evaluated."""
