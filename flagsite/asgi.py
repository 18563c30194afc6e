"""What the events server calls."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flagsite.settings")
django.setup()

from flagsite.web.event_stream import EventStream  # noqa: E402 - knows the models, which are there only now

application = EventStream()
