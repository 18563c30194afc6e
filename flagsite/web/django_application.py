"""Django as a WSGI application: it answers every request that is not an evaluation."""

from __future__ import annotations

from typing import Any

from django.core.handlers.wsgi import WSGIHandler, WSGIRequest
from django.core.wsgi import get_wsgi_application


class Utf8Request(WSGIRequest):
    """A request that is read as UTF-8, whatever charset its Content-Type names.

    Django and REST framework decode a request by the charset of Content-Type, and fail on Python's own ones such as
    `hex`. Django fails so early that Flagsite could not answer with an error.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        media_type, *parameters = environ.get("CONTENT_TYPE", "").split(";")
        kept = [parameter for parameter in parameters if parameter.strip().lower().startswith("boundary=")]
        super().__init__({**environ, "CONTENT_TYPE": ";".join([media_type, *kept])})


def django_handler() -> WSGIHandler:
    """Set Django up and return it as a WSGI application."""
    handler = get_wsgi_application()
    handler.request_class = Utf8Request
    return handler
