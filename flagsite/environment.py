"""Typed readers of environment variables that name the culprit when a value makes no sense."""

from __future__ import annotations

import os
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

read: dict[str, str] = {}
"""Every variable that the settings asked for, with its default in words; the README's table is checked against it."""

KEEP_ALIVE = {"tcp_user_timeout": 10_000, "keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3}
"""To libpq: a server that says nothing more, as its machine or the network is gone, is noticed in some 15 seconds."""


def text(name: str, default: str = "") -> str:
    """The variable's text, or the default when it is unset or empty."""
    read[name] = default
    return os.environ.get(name) or default


def boolean(name: str, *, default: bool) -> bool:
    """true, yes, on, 1 or false, no, off, 0 in any case. Raises ImproperlyConfigured."""
    value = text(name, "true" if default else "false").lower()
    if value in {"true", "yes", "on", "1"}:
        return True
    if value in {"false", "no", "off", "0"}:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}; write true or false.")


def number(name: str, default: float, *, least: float = 0, most: float = 1e9) -> float:
    """A number from `least` to `most`. Raises ImproperlyConfigured."""
    value = text(name, f"{default:g}")
    try:
        result = float(value)
    except ValueError:
        raise ImproperlyConfigured(f"{name} is {value!r}; write a number.") from None
    if not least <= result <= most:
        raise ImproperlyConfigured(f"{name} is {value}; write a number from {least:g} to {most:g}.")
    return result


def integer(name: str, default: int, *, least: int = 0, most: int = 10**9) -> int:
    """A whole number from `least` to `most`. Raises ImproperlyConfigured."""
    result = number(name, default, least=least, most=most)
    if result != int(result):
        raise ImproperlyConfigured(f"{name} is {result:g}; write a whole number.")
    return int(result)


def words(name: str, default: str = "") -> list[str]:
    """Words separated by commas, without white space around them; empty ones are dropped."""
    return [word.strip() for word in text(name, default).split(",") if word.strip()]


def database(url: str) -> dict[str, object]:
    """Django's settings for a PostgreSQL URL: postgresql://user:password@host:port/name?host=/folder&sslmode=require.

    Raises ImproperlyConfigured for any other database: there is no other.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(f"DATABASE_URL begins with {parts.scheme!r}; Flagsite runs on postgresql:// only.")
    given = dict(parse_qsl(parts.query))
    options: dict[str, object] = {"connect_timeout": 5, "application_name": "flagsite", **KEEP_ALIVE, **given}
    host = str(options.pop("host", "") or unquote(parts.hostname or ""))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(parts.port or ""),
        "OPTIONS": options,
    }
