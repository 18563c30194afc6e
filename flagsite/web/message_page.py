"""The page in words that people see instead of a page of the admin site: for errors and for refused forms.

Programs get problem details instead (`flagsite.web.problems`). The page reads nothing from the database, because the
database may be the error.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.contrib import admin
from django.contrib.auth.models import AnonymousUser
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

TITLES = {
    400: "This request was refused",
    403: "You may not do this",
    404: "There is nothing at this address",
    405: "This page does something else",
    409: "This is not possible now",
    413: "This is too large",
    500: "Something went wrong",
    503: "Please try again in a moment",
}
WAYS_OUT = {
    400: "Go back, open the page again, and send the form once more.",
    403: (
        "Your groups, or the organization to which you are bound, do not allow it. An administrator of Flagsite can "
        "change both on your page below People."
    ),
    404: (
        "Perhaps it was deleted, or it belongs to an organization that you may not see. Open the admin site, and use "
        "the search in its side bar."
    ),
    405: "Open the page with its link, or go back and use the buttons of the page.",
    409: "Go back, and open the page again to see what has changed.",
    413: "Send less at once.",
    500: "Try again. If that does not help, give the id of the request to the people who operate Flagsite.",
    503: "Flagsite saves a form as a whole or not at all. Check whether your change was saved, then send it again.",
}
"""What a person can do, by status."""


def is_for_person(request: HttpRequest) -> bool:
    """Return whether a person waits for a page of the admin site, and not a script for a part of one."""
    is_of_script = "HX-Request" in request.headers or "X-Requested-With" in request.headers
    return request.path.startswith("/admin/") and not is_of_script


def message_page(
    request: HttpRequest,
    status: int,
    paragraphs: Sequence[str],
    *,
    title: str = "",
    headers: dict[str, str] | None = None,
) -> HttpResponse:
    """Return a page with a title, some sentences and a link to the admin site.

    Args:
        request: the request that was refused or has failed.
        status: the status of the answer.
        paragraphs: the sentences, one paragraph each.
        title: the title; empty for the title of the status.
        headers: further headers of the answer.
    """
    request.user = AnonymousUser()
    request.operator = None  # type: ignore[attr-defined]
    words = {"title": title or TITLES.get(status, TITLES[400]), "paragraphs": paragraphs}
    response = render(request, "flagsite/message.html", {**admin.site.each_context(request), **words}, status=status)
    for name, value in (headers or {}).items():
        response[name] = value
    return response
