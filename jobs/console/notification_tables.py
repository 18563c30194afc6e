"""Subscriptions and deliveries as tables for people."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Column, Table

from flagsite.core.console import terminal
from jobs.notifications.models import Delivery, Subscription


def subscriptions_table(rows: Sequence[Subscription]) -> Table:
    """Return a table of subscriptions, without secrets."""
    table = terminal.table(Column("Id", no_wrap=True), "Name", "Channel", "To", "Events", "Organization", "Sends")
    for row in rows:
        organization = f"{row.organization.key} (id {row.organization_id})" if row.organization else "all"
        sends = f"no: {row.ended_because}" if row.ended_because else "yes"
        table.add_row(
            *terminal.cells(row.pk, row.name, row.channel, row.target_shown, ", ".join(row.events), organization, sends)
        )
    return table


def deliveries_table(rows: Sequence[Delivery]) -> Table:
    """Return a table of deliveries."""
    table = terminal.table(
        Column("Id", no_wrap=True), Column("Status", no_wrap=True), "Channel", "To", "Message", "Attempts",
        Column("Created (UTC)", no_wrap=True), "Error",
    )  # fmt: skip
    for row in rows:
        created = terminal.format_time(row.created_at) or ""
        table.add_row(
            *terminal.cells(
                row.pk, row.state, row.channel, row.target_shown, row.subject, row.attempts, created, row.error
            )
        )
    return table
