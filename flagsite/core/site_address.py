"""The address under which people and programs open this site, for texts that leave it."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.urls import reverse


def whole_address(path: str) -> str:
    """Return the whole address of a path of this site; without SITE_URL, the path itself."""
    return f"{settings.SITE_URL}{path}"


def page_address(name: str, *args: Any) -> str:
    """Return the whole address of the page with this name, as in `reverse`."""
    return whole_address(reverse(name, args=args))
