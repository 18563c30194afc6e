"""The inputs of a form, which a page that shows a plan sends again."""

from __future__ import annotations

from collections.abc import Collection

from django.http import HttpRequest


def inputs_of(request: HttpRequest, *, left_out: Collection[str]) -> list[tuple[str, str]]:
    """Return the names and values of the form, without the names `left_out` and the token of the page."""
    without = {*left_out, "csrfmiddlewaretoken"}
    return [(name, str(value)) for name, values in request.POST.lists() if name not in without for value in values]
