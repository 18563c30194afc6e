"""Readers of environment variables, one for each type of value. Errors name the variable."""

from __future__ import annotations

import os
import re
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

import redis
from django.core.exceptions import ImproperlyConfigured
from psycopg import ProgrammingError
from psycopg.conninfo import make_conninfo

known_variables: dict[str, str] = {}
"""Every variable that the settings have read, with its default as text. A test compares the README's table with it."""

KEEP_ALIVE: dict[str, object] = {
    "tcp_user_timeout": 10_000, "keepalives_idle": 5, "keepalives_interval": 3, "keepalives_count": 3,
}  # fmt: skip
"""Options for libpq: they end a connection about 15 seconds after the server's machine or the network has failed.

`tcp_user_timeout` is in milliseconds, the others are in seconds, except the count:
https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS
"""


SHORT_KEEP_ALIVE: dict[str, object] = {
    "tcp_user_timeout": 3_000, "keepalives_idle": 1, "keepalives_interval": 1, "keepalives_count": 3,
}  # fmt: skip
"""The same for a process in which people wait: after about four seconds."""
_keep_alive = KEEP_ALIVE
S3_OPTIONS = {"endpoint", "region"}


def people_wait() -> None:
    """Let connections to the database end sooner if nothing comes through. Call this before the settings are loaded."""
    global _keep_alive  # noqa: PLW0603 - one for each process
    _keep_alive = SHORT_KEEP_ALIVE


def text(name: str, default: str = "") -> str:
    """The text of the variable, or the default if the variable is unset or empty."""
    known_variables[name] = default
    return os.environ.get(name) or default


def boolean(name: str, *, default: bool) -> bool:
    """True for true, yes, on and 1; False for false, no, off and 0; in any case. Raises ImproperlyConfigured."""
    value = text(name, "true" if default else "false").lower()
    if value in {"true", "yes", "on", "1"}:
        return True
    if value in {"false", "no", "off", "0"}:
        return False
    raise ImproperlyConfigured(f"{name} is {value!r}. Set it to true or false.")


def number(name: str, default: float, *, minimum: float = 0, maximum: float = 1e9) -> float:
    """A number from `minimum` to `maximum`. Raises ImproperlyConfigured."""
    value = text(name, f"{default:g}")
    try:
        result = float(value)
    except ValueError:
        raise ImproperlyConfigured(
            f"{name} is {value!r}, which is not a number. Set it to a number from {minimum:g} to {maximum:g}."
        ) from None
    if not minimum <= result <= maximum:
        raise ImproperlyConfigured(f"{name} is {value}. Set it to a number from {minimum:g} to {maximum:g}.")
    return result


def integer(name: str, default: int, *, minimum: int = 0, maximum: int = 10**9) -> int:
    """A whole number from `minimum` to `maximum`. Raises ImproperlyConfigured."""
    result = number(name, default, minimum=minimum, maximum=maximum)
    if result != int(result):
        raise ImproperlyConfigured(f"{name} is {result:g}. Set it to a whole number from {minimum} to {maximum}.")
    return int(result)


def choice(name: str, default: str, *others: str) -> str:
    """The default or one of the others. Raises ImproperlyConfigured."""
    value = text(name, default)
    if value not in (choices := [default, *others]):
        raise ImproperlyConfigured(f"{name} is {value!r}. Set it to one of: {', '.join(choices)}.")
    return value


def matching(name: str, pattern: str, example: str, default: str = "") -> str:
    """A text that is empty or that the regular expression `pattern` matches as a whole.

    Otherwise raises ImproperlyConfigured, whose message says "Set it to" and `example`.
    """
    return _checked(name, text(name, default), pattern, example)


def comma_separated(name: str, pattern: str, example: str, default: str = "") -> list[str]:
    """The values between the commas, without white space around them and without empty values.

    Each value must match `pattern` as in `matching`. Raises ImproperlyConfigured.
    """
    values = [value.strip() for value in text(name, default).split(",")]
    return [_checked(name, value, pattern, example) for value in values if value]


def former_keys(name: str, minimum: int) -> list[str]:
    """The keys between the commas. Raises ImproperlyConfigured for a key shorter than `minimum`, without the value."""
    keys = [key.strip() for key in text(name).split(",") if key.strip()]
    if any(len(key) < minimum for key in keys):
        raise ImproperlyConfigured(f"A key of {name} is shorter than {minimum} characters. Set it to former keys.")
    return keys


def _checked(name: str, value: str, pattern: str, example: str) -> str:
    if value and not re.fullmatch(pattern, value):
        raise ImproperlyConfigured(f"{name} is {value!r}. Set it to {example}.")
    return value


def redis_url(default: str) -> str:
    """REDIS_URL, or the default. Raises ImproperlyConfigured, without the value, which may have a password."""
    url = text("REDIS_URL") or default
    try:
        redis.ConnectionPool.from_url(url).make_connection()  # checks every option of the URL; it does not connect
        is_valid = urlsplit(url).scheme == "unix" or bool(re.fullmatch(r"/?[0-9]*", urlsplit(url).path))
    except (ValueError, TypeError):
        is_valid = False
    if not is_valid:
        raise ImproperlyConfigured(
            "REDIS_URL is not a valid URL. Set it to a URL such as redis://host:6379/0, rediss://host:6379/0 or "
            "unix:///path?db=0."
        )
    return url


def database(url: str, name: str = "DATABASE_URL") -> dict[str, object]:
    """Django's settings for a PostgreSQL URL: postgresql://user:password@host:port/name?host=/folder&sslmode=require.

    `name` is the variable that has the URL. Raises ImproperlyConfigured if the URL is not valid or names another kind
    of database. The message omits the value, which may have a password.
    """
    try:
        parts = urlsplit(url)
        port = str(parts.port or "")
        given = dict(parse_qsl(parts.query))
        make_conninfo("", **given)
    except ValueError:
        raise ImproperlyConfigured(
            f"{name} is not a valid URL. Set it to a URL such as postgresql://user:password@host:port/name."
        ) from None
    except ProgrammingError as error:
        raise ImproperlyConfigured(f"{name} has an invalid option: {error}.") from None
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ImproperlyConfigured(
            f"{name} begins with {parts.scheme!r}, but Flagsite needs PostgreSQL. Set it to a postgresql:// URL."
        )
    if not parts.path.lstrip("/") and "service" not in given:
        raise ImproperlyConfigured(
            f"{name} names no database. Set it to a URL such as postgresql://user:password@host:port/name."
        )
    options: dict[str, object] = {"connect_timeout": 5, "application_name": "flagsite", **_keep_alive, **given}
    host = str(options.pop("host", "") or unquote(parts.hostname or ""))
    return {
        "ENGINE": "flagsite.core.db.backend",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": port,
        "OPTIONS": options,
    }


def artifacts_storage(name: str, folder: Path) -> dict[str, object]:
    """Django's settings for the storage of a URL: file:///folder, or s3://bucket/prefix?endpoint=https://host&region=.

    Without a URL, the files are in `folder`. Raises ImproperlyConfigured.
    """
    url = text(name)
    parts = urlsplit(url)
    given = dict(parse_qsl(parts.query, keep_blank_values=True))
    path = unquote(parts.path)
    if not url or (parts.scheme == "file" and not parts.netloc and not given and len(path) > 1):
        location = path if url else str(folder)
        return {"BACKEND": "jobs.artifacts.files.LocalFiles", "OPTIONS": {"location": location}}
    if parts.scheme == "s3" and re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,62}", parts.netloc) and given.keys() <= S3_OPTIONS:
        options = {"bucket": parts.netloc, "prefix": path.strip("/"), **given}
        return {"BACKEND": "jobs.artifacts.s3_files.S3Files", "OPTIONS": options}
    raise ImproperlyConfigured(
        f"{name} is not a valid URL. Set it to a folder such as file:///var/lib/flagsite/artifacts, or to a bucket "
        "such as s3://bucket/prefix?region=eu-north-1 or s3://bucket?endpoint=https://s3.example.com. Credentials "
        "do not belong into it: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
    )
