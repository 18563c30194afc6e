"""Encrypt the stored secrets with the present SECRET_KEY."""

from __future__ import annotations

from typing import Any

from flagsite.core.console.command import Answer, OperatorCommand
from jobs.notifications import subscriptions


class Command(OperatorCommand):
    help = (
        "Encrypt the stored addresses and secrets of notifications with the present SECRET_KEY. After this command, "
        "SECRET_KEY_FALLBACKS is no longer needed for them."
    )

    def answer(self, **options: Any) -> Answer:
        renewed = subscriptions.renew_secrets()
        sentence = f"{renewed:,} rows were encrypted with a former SECRET_KEY, and have the present one now."
        return Answer({"renewed": renewed}, [sentence])
