"""Pages that only read: they take GET and HEAD."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.http import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_safe

View = Callable[..., HttpResponseBase]


def only_reads(view: View) -> Any:
    """Make a view that refuses every method except GET and HEAD with 405.

    The view changes nothing, so it needs no token against forged forms. A program that sends POST learns from the
    answer which methods there are, and not that a token is missing.

    Args:
        view: a view that changes nothing.

    Returns:
        The view. `flagsite.web.allowed_methods` gives its 405 the form of all errors.
    """
    return csrf_exempt(require_safe(view))
