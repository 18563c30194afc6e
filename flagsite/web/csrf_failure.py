"""The page for a form that Django refuses because it may come from another site (CSRF), with the setting to correct."""

from __future__ import annotations

import structlog
from django.conf import settings
from django.http import HttpRequest, HttpResponse

from flagsite.web.message_page import message_page

log = structlog.get_logger(__name__)


def page(request: HttpRequest, reason: str = "") -> HttpResponse:
    """Django's CSRF_FAILURE_VIEW: a page with status 403 that says why, and what a person or an operator can do.

    Args:
        request: the refused request.
        reason: the words of Django's middleware.

    Returns:
        The page. The log gets the same advice, because often only an operator can follow it.
    """
    advice = advice_for(request)
    log.warning("form_refused", reason=reason, advice=advice)
    return message_page(request, 403, advice, title="This form was refused")


def advice_for(request: HttpRequest) -> list[str]:
    """Return the sentences that say why the form of this request was refused, and the way out.

    Args:
        request: a POST of a form whose origin, cookie or token is missing or wrong.
    """
    origin = request.headers.get("Origin", "")
    told = request.headers.get("X-Forwarded-Proto", "")
    if settings.CSRF_COOKIE_SECURE and not request.is_secure() and not origin.startswith("https://"):
        if told == "https" and not settings.TRUST_PROXY_HEADERS:
            return [
                "A proxy in front of Flagsite says that you use HTTPS, but Flagsite does not trust the proxy.",
                "Set TRUST_PROXY_HEADERS=true, and let the proxy set the header X-Forwarded-Proto itself.",
            ]
        return [
            (
                "You have opened this site with http://. In production, the browser sends the cookies of this site "
                "only over HTTPS, so nobody can sign in here."
            ),
            (
                "Open the site with https://. If a proxy ends HTTPS in front of Flagsite, let it set the header "
                "X-Forwarded-Proto, and set TRUST_PROXY_HEADERS=true."
            ),
        ]
    if origin and origin not in {
        f"{request.scheme}://{request.headers.get('Host', '')}",
        *settings.CSRF_TRUSTED_ORIGINS,
    }:
        return [
            f"Your browser says that the form comes from {origin}, but Flagsite does not know this address.",
            (
                f"If {origin} is the address of this site: let the proxy pass on the header Host, or add the "
                "address to the setting CSRF_TRUSTED_ORIGINS."
            ),
        ]
    return [
        (
            "The form was too old, or your browser does not send the cookies of this site. Perhaps you have signed in "
            "or out in another tab."
        ),
        "Open the page again, and send the form once more. Allow cookies for this site if that does not help.",
    ]
