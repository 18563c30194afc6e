"""The token in the address of an event stream: a bulk answer hands it out, and the event stream reads it."""

from __future__ import annotations

from django.core import signing

SALT = "flags.events"
PREFIX = "key:"
"""An access key's name as a caller begins with it."""


def event_token(organization_id: int | None, caller_name: str) -> str:
    """The token for a caller who waits for the changes of an organization, or of definitions only."""
    return signing.Signer(salt=SALT).sign_object([organization_id, caller_name.partition(" ")[0]])


def read_event_token(token: str) -> tuple[int | None, str] | None:
    """The organization and the prefix of the access key; None for a token that Flagsite has not made."""
    try:
        organization_id, caller = signing.Signer(salt=SALT).unsign_object(token)
    except (signing.BadSignature, ValueError, TypeError):
        return None
    return organization_id, str(caller).removeprefix(PREFIX)
