"""Django in a web process: it answers whatever is not an evaluation."""

from __future__ import annotations

from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.core.wsgi import get_wsgi_application


class Request(WSGIRequest):
    """A request in UTF-8, whatever charset the client claims.

    Django and REST framework decode by the parameters of Content-Type, and fail on charsets such as `hex`: Django
    does so before any of our code could answer an error.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        media_type, *parameters = environ.get("CONTENT_TYPE", "").split(";")
        kept = [parameter for parameter in parameters if parameter.strip().lower().startswith("boundary=")]
        super().__init__({**environ, "CONTENT_TYPE": ";".join([media_type, *kept])})


def django_handler() -> WSGIHandler:
    """Django, set up, as a WSGI application."""
    made = get_wsgi_application()
    made.request_class = Request
    return made
