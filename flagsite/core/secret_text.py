"""Texts that the database stores encrypted, such as addresses with tokens and the secrets of webhooks.

The key is derived from SECRET_KEY. Texts that were stored with an older key stay readable as long as
SECRET_KEY_FALLBACKS lists it; each new write uses SECRET_KEY.
"""

from __future__ import annotations

import base64
from functools import lru_cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.utils.crypto import salted_hmac

from flagsite.core.errors import FlagsiteError


class SecretUnreadable(FlagsiteError):
    """A stored secret was encrypted with another SECRET_KEY. Add the former key to SECRET_KEY_FALLBACKS."""


def encrypt(text: str) -> str:
    """Return the text encrypted with the present SECRET_KEY."""
    return _ciphers().encrypt(text.encode()).decode()


def decrypt(stored: str) -> str:
    """Return the text that `encrypt` has encrypted. Raises SecretUnreadable if no known key fits."""
    try:
        return _ciphers().decrypt(stored.encode()).decode()
    except InvalidToken:
        raise SecretUnreadable from None


def renewed(stored: str) -> str | None:
    """Return the stored text encrypted with the present SECRET_KEY, or None if it is already.

    Raises SecretUnreadable.
    """
    try:
        _cipher(settings.SECRET_KEY).decrypt(stored.encode())
    except InvalidToken:
        return encrypt(decrypt(stored))
    return None


def _ciphers() -> MultiFernet:
    return MultiFernet([_cipher(key) for key in (settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS)])


@lru_cache(maxsize=16)
def _cipher(key: str) -> Fernet:
    derived = salted_hmac("flagsite.core.secret_text", "", secret=key, algorithm="sha256").digest()
    return Fernet(base64.urlsafe_b64encode(derived))
