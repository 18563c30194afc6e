"""Whether the one who scheduled a change is still there when its time comes."""

from __future__ import annotations

from django.contrib.auth import get_user_model

from orgs.access.models import AccessKey


def why_gone(author: str) -> str:
    """What has become of "key:4fG6aB nightly" or "user:alice"; empty while they are there, and for all others."""
    kind, _, name = author.partition(":")
    if kind == "key":
        return _of_key(name.partition(" ")[0])
    if kind == "user":
        return _of_person(name)
    return ""


def _of_key(prefix: str) -> str:
    key = AccessKey.objects.filter(prefix=prefix).first()
    if key is None:
        return "The access key was deleted since."
    if key.revoked:
        return "The access key was revoked since."
    return "The access key has expired since." if key.has_expired else ""


def _of_person(username: str) -> str:
    person = get_user_model().objects.filter(username=username).first()
    if person is None:
        return "The person's account was deleted since."
    return "" if person.is_active else "The person's account was closed since."
