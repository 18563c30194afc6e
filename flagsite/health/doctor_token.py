"""The token by which the web server and the events server recognise `doctor --url` of the same installation."""

from __future__ import annotations

from django.core import signing

HEADER = "X-Flagsite-Doctor"
SALT = "flagsite.doctor"
TEXT = "doctor"
LIFETIME_SECONDS = 60


def doctor_token() -> str:
    """Return a token that is valid for a minute. Only a process with the same SECRET_KEY can make one."""
    return signing.TimestampSigner(salt=SALT).sign(TEXT)


def is_doctor_token(token: str) -> bool:
    """Whether `doctor` of this installation made the token during the last minute."""
    try:
        return signing.TimestampSigner(salt=SALT).unsign(token, max_age=LIFETIME_SECONDS) == TEXT
    except signing.BadSignature:
        return False
