"""Typed readers of environment variables that name the culprit when a value makes no sense."""

from __future__ import annotations

import os
import re
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo

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


def choice(name: str, default: str, *others: str) -> str:
    """The default or one of the others. Raises ImproperlyConfigured."""
    value = text(name, default)
    if value not in (choices := [default, *others]):
        raise ImproperlyConfigured(f"{name} is {value!r}; write one of {', '.join(choices)}.")
    return value


def matching(name: str, pattern: str, example: str, default: str = "") -> str:
    """A text that the pattern matches as a whole, or nothing. Raises ImproperlyConfigured, with the example."""
    return _checked(name, text(name, default), pattern, example)


def words(name: str, pattern: str, example: str, default: str = "") -> list[str]:
    """Words separated by commas, without white space around them; empty ones are dropped.

    Raises ImproperlyConfigured, with the example, when the pattern does not match one of them as a whole.
    """
    found = [word.strip() for word in text(name, default).split(",")]
    return [_checked(name, word, pattern, example) for word in found if word]


def _checked(name: str, value: str, pattern: str, example: str) -> str:
    if value and not re.fullmatch(pattern, value):
        raise ImproperlyConfigured(f"{name} is {value!r}; write {example}.")
    return value


def redis_url(default: str) -> str:
    """REDIS_URL, or the default. Raises ImproperlyConfigured, without the value: a password may be in it."""
    url = text("REDIS_URL") or default
    try:
        redis.ConnectionPool.from_url(url).make_connection()  # knows every option of a URL, and does not connect yet
        makes_sense = urlsplit(url).scheme == "unix" or re.fullmatch(r"/?[0-9]*", urlsplit(url).path)
    except (ValueError, TypeError):
        makes_sense = None
    if not makes_sense:
        raise ImproperlyConfigured(
            "REDIS_URL makes no sense; write redis://host:6379/0, rediss://host:6379/0 or unix:///path?db=0."
        )
    return url


def database(url: str) -> dict[str, object]:
    """Django's settings for a PostgreSQL URL: postgresql://user:password@host:port/name?host=/folder&sslmode=require.

    Raises ImproperlyConfigured, without the value, for what makes no sense and for any other database: there is none.
    """
    try:
        parts = urlsplit(url)
        port = str(parts.port or "")
        given = dict(parse_qsl(parts.query))
        make_conninfo("", **given)
    except ValueError:
        raise ImproperlyConfigured(
            "DATABASE_URL makes no sense; write postgresql://user:password@host:port/name."
        ) from None
    except ProgrammingError as error:
        raise ImproperlyConfigured(f"DATABASE_URL: {error}.") from None
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(f"DATABASE_URL begins with {parts.scheme!r}; Flagsite runs on postgresql:// only.")
    if not parts.path.lstrip("/") and "service" not in given:
        raise ImproperlyConfigured("DATABASE_URL names no database; write postgresql://user:password@host:port/name.")
    options: dict[str, object] = {"connect_timeout": 5, "application_name": "flagsite", **KEEP_ALIVE, **given}
    host = str(options.pop("host", "") or unquote(parts.hostname or ""))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": port,
        "OPTIONS": options,
    }
