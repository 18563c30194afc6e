"""Secrets in the database are encrypted, and a former SECRET_KEY still reads them."""

from __future__ import annotations

from typing import Any

import pytest

from flagsite.core import secret_text
from flagsite.core.secret_text import SecretUnreadable

FORMER, PRESENT = "f" * 40, "p" * 40


def test_the_stored_text_does_not_show_the_secret() -> None:
    stored = secret_text.encrypt("https://hooks.example.com/token")
    assert "token" not in stored
    assert secret_text.decrypt(stored) == "https://hooks.example.com/token"
    assert secret_text.renewed(stored) is None


def test_a_former_key_reads_and_the_present_one_writes(settings: Any) -> None:
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = FORMER, []
    stored = secret_text.encrypt("secret")
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = PRESENT, [FORMER]
    assert secret_text.decrypt(stored) == "secret"
    renewed = secret_text.renewed(stored)
    assert renewed is not None
    settings.SECRET_KEY_FALLBACKS = []
    assert secret_text.decrypt(renewed) == "secret"
    with pytest.raises(SecretUnreadable, match="SECRET_KEY_FALLBACKS"):
        secret_text.decrypt(stored)
