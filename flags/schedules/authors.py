"""Finding out whether the author of a scheduled change, a person or an access key, still exists."""

from __future__ import annotations

from django.contrib.auth import get_user_model

from orgs.access.models import AccessKey


def why_gone(author: str) -> str:
    """Return a sentence on what happened to an actor such as "key:4fG6aB nightly" or "user:alice".

    The sentence is empty if the account or access key can still be used, and for all other kinds of actors.
    """
    kind, _, name = author.partition(":")
    if kind == "key":
        return _of_key(name.partition(" ")[0])
    if kind == "user":
        return _of_person(name)
    return ""


def _of_key(prefix: str) -> str:
    key = AccessKey.objects.filter(prefix=prefix).first()
    if key is None:
        return "The access key has been deleted."
    if key.revoked:
        return "The access key has been revoked."
    return "The access key has expired." if key.has_expired else ""


def _of_person(username: str) -> str:
    person = get_user_model().objects.filter(username=username).first()
    if person is None:
        return "The person's account has been deleted."
    return "" if person.is_active else "The person's account has been deactivated."
