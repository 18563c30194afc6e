"""The WSGI application of the web server: evaluations first, then Django for all other requests."""

from __future__ import annotations

import os

from flagsite import environment, tracing
from flagsite.metrics.multiprocess_folder import share_request_counts
from flagsite.web import garbage_collection
from flagsite.web.django_application import django_handler

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flagsite.settings")
environment.people_wait()
share_request_counts()  # before a module imports prometheus_client
tracing.start("web")  # before the middleware is loaded
django_application = django_handler()

from flagsite.core.db.requirements import refuse_unsuitable_database  # noqa: E402 - needs the settings
from flagsite.web.evaluation_gateway import EvaluationGateway  # noqa: E402 - needs the models, loaded only now
from flagsite.web.web_limits import limits_from_settings  # noqa: E402

refuse_unsuitable_database()
application = EvaluationGateway(django_application, limits_from_settings())
garbage_collection.freeze_long_lived_objects()
