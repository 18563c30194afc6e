"""What the web server calls."""

from __future__ import annotations

import os
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.core.wsgi import get_wsgi_application

from flagsite import tracing
from flagsite.metrics.folder import share_counts

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flagsite.settings")


class Request(WSGIRequest):
    """A request in UTF-8, whatever charset the client claims.

    Django and REST framework decode by the parameters of Content-Type, and fail on charsets such as `hex`: Django
    does so before any of our code could answer an error.
    """

    def __init__(self, environ: dict[str, Any]) -> None:
        media_type, *parameters = environ.get("CONTENT_TYPE", "").split(";")
        kept = [parameter for parameter in parameters if parameter.strip().lower().startswith("boundary=")]
        super().__init__({**environ, "CONTENT_TYPE": ";".join([media_type, *kept])})


share_counts()  # before anything imports prometheus_client
tracing.start("web")  # before the middleware is loaded
django = get_wsgi_application()
django.request_class = Request

from flagsite.front import Front  # noqa: E402 - knows the models, which are there only now

application = Front(django)
