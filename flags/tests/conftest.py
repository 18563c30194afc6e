"""What tests of flags share."""

from __future__ import annotations

import pytest

from flags.tests.asking import Asking


@pytest.fixture
def asking(admin_key: str) -> Asking:
    """A client that sees everything, and a web process that knows nothing yet."""
    return Asking(admin_key)
