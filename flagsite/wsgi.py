"""What the web server calls."""

from __future__ import annotations

import os

from flagsite import garbage, precedence, tracing
from flagsite.handler import django_handler
from flagsite.metrics.folder import share_counts

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flagsite.settings")
share_counts()  # before anything imports prometheus_client
tracing.start("web")  # before the middleware is loaded
behind = django_handler()

from flagsite.front import Front  # noqa: E402 - knows the models, which are there only now

application = Front(behind)
garbage.set_aside_what_lasts()
precedence.wait_for_others()  # the server starts its own thread from this one
