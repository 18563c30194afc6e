"""The network address of a client, behind a proxy too."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest


def client_address(request: HttpRequest) -> str:
    """Return the address of the client that sent a request, such as `203.0.113.7`.

    With TRUST_PROXY_HEADERS, this is the last address of the header X-Forwarded-For. The proxy in front of Flagsite
    adds this address. The addresses before it come from the client, who can invent them.

    Args:
        request: the request as Django has it.
    """
    if settings.TRUST_PROXY_HEADERS:
        told = request.headers.get("X-Forwarded-For", "").rpartition(",")[2].strip()
        if told:
            return told
    return str(request.META.get("REMOTE_ADDR", ""))
