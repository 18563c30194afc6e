"""The settings of messages that leave Flagsite: EMAIL_URL, VAPID_KEYS and APPRISE_URLS. Without them nothing leaves.

The messages of the errors omit the values, which have passwords.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from email.utils import parseaddr
from importlib import import_module
from ipaddress import ip_network
from urllib.parse import parse_qsl, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured

from flagsite import environment

EMAIL_EXAMPLE = "smtp://user:password@mail.example.com:587?tls=starttls&from=flags@example.com"
NETWORK_EXAMPLE = "host names and networks, such as hooks.internal,10.1.0.0/16"
RECIPIENT = "{to}"
"""The place of the telephone number in the URL with the name `sms`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Email:
    """How e-mail leaves; without `host` and `provider` it does not."""

    backend: str = "django.core.mail.backends.locmem.EmailBackend"
    host: str = ""
    port: int = 25
    user: str = ""
    password: str = ""
    use_starttls: bool = False
    use_tls: bool = False
    sender: str = ""
    provider: dict[str, str] = field(default_factory=dict)
    """The settings of Anymail."""

    @property
    def is_set(self) -> bool:
        return bool(self.sender)


def email() -> Email:
    """How e-mail leaves, by EMAIL_URL: smtp://, smtps:// or anymail://. Raises ImproperlyConfigured."""
    url = environment.text("EMAIL_URL")
    if not url:
        return Email()
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        port = parts.port or {"smtp": 25, "smtps": 465}.get(parts.scheme, 0)
    except ValueError:
        raise _invalid_email("is not a valid URL") from None
    sender = options.pop("from", "")
    if "@" not in parseaddr(sender)[1]:
        raise _invalid_email("names no sender")
    if not parts.hostname:
        raise _invalid_email("names no host")
    if parts.scheme == "anymail":
        return _by_provider(parts.hostname, options, sender)
    starttls = options.pop("tls", "") if parts.scheme == "smtp" else ""
    if parts.scheme not in {"smtp", "smtps"} or options or starttls not in {"", "starttls"}:
        raise _invalid_email("has an unknown scheme or option")
    return Email(
        backend="jobs.notifications.smtp.EmailBackend",
        host=parts.hostname,
        port=port,
        user=unquote(parts.username or ""),
        password=unquote(parts.password or ""),
        use_starttls=bool(starttls),
        use_tls=parts.scheme == "smtps",
        sender=sender,
    )


def _by_provider(name: str, options: dict[str, str], sender: str) -> Email:
    """E-mail by a provider of Anymail, such as anymail://postmark?server_token=…&from=flags@example.com."""
    backend = f"anymail.backends.{name}"
    try:
        import_module(backend)
    except ImportError:
        raise ImproperlyConfigured(
            f"EMAIL_URL needs {backend}. Install it with: pip install 'django-anymail[{name}]'"
        ) from None
    provider = {f"{name}_{option}".upper(): value for option, value in options.items()}
    return Email(backend=f"{backend}.EmailBackend", sender=sender, provider=provider)


def _invalid_email(why: str) -> ImproperlyConfigured:
    return ImproperlyConfigured(f"EMAIL_URL {why}. Set it to a URL such as {EMAIL_EXAMPLE}.")


def vapid_keys() -> tuple[str, str]:
    """The contact and the private key of web push, by VAPID_KEYS, or two empty texts. Raises ImproperlyConfigured."""
    value = environment.text("VAPID_KEYS")
    if not value:
        return "", ""
    subject, _, key = value.partition(",")
    is_valid = bool(re.fullmatch(r"mailto:\S+@\S+|https://\S+", subject))
    if is_valid:
        from py_vapid import Vapid02  # noqa: PLC0415 - slow to import, and rarely needed

        try:
            Vapid02.from_string(key.strip())
        except Exception:  # noqa: BLE001 - whatever the library says of a wrong key
            is_valid = False
    if not is_valid:
        raise ImproperlyConfigured(
            "VAPID_KEYS is not valid. Set it to a contact, a comma and a private key (P-256) in base64url, such as "
            "mailto:ops@example.com,…. docs/notifications.md shows how to make a key."
        )
    return subject, key.strip()


def apprise_urls() -> dict[str, str]:
    """The services for SMS and chat by their names, by APPRISE_URLS: name=URL, separated by white space.

    The URL with the name `sms` has {to} in the place of the telephone number. Raises ImproperlyConfigured.
    """
    entries = environment.text("APPRISE_URLS").split()
    found: dict[str, str] = {}
    for entry in entries:
        name, _, url = entry.partition("=")
        if not re.fullmatch(r"[a-z][a-z0-9-]{0,29}", name) or not url or (name == "sms") != (RECIPIENT in url):
            raise _invalid_apprise(name if url else "")
        from apprise import Apprise  # noqa: PLC0415 - slow to import, and rarely needed

        if Apprise.instantiate(url.replace(RECIPIENT, "+15555550123"), suppress_exceptions=True) is None:
            raise _invalid_apprise(name)
        found[name] = url
    return found


def _invalid_apprise(name: str) -> ImproperlyConfigured:
    about = f"The entry {name!r} of APPRISE_URLS" if name else "An entry of APPRISE_URLS"
    return ImproperlyConfigured(
        f"{about} is not valid. Set APPRISE_URLS to entries such as ops-chat=slack://… or sms=twilio://…/{RECIPIENT}, "
        "separated by white space. A name has lower-case letters, digits and hyphens."
    )


def outgoing_allowed() -> list[str]:
    """The host names and networks that are allowed although they are not public. Raises ImproperlyConfigured."""
    entries = environment.comma_separated(
        "OUTGOING_ALLOWED", r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+(/[0-9]{1,3})?", NETWORK_EXAMPLE
    )
    for entry in entries:
        try:
            if "/" in entry:
                ip_network(entry)
        except ValueError:
            raise ImproperlyConfigured(f"OUTGOING_ALLOWED is {entry!r}. Set it to {NETWORK_EXAMPLE}.") from None
    return entries
