"""The ASGI application of the events server, which sends server-sent events to clients."""

from __future__ import annotations

import os

import django

from flagsite import environment

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flagsite.settings")
environment.people_wait()
django.setup()

from flagsite.core.db.requirements import refuse_unsuitable_database  # noqa: E402 - needs the settings
from flagsite.web.event_stream import EventStream  # noqa: E402 - needs the models, which Django has loaded only now
from flagsite.web.web_limits import limits_of_events_server  # noqa: E402

refuse_unsuitable_database()
application = EventStream(limits_of_events_server())
