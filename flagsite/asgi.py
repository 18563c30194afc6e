"""What the events server calls."""

from __future__ import annotations

import os

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flagsite.settings")
django.setup()

from flagsite.events import Events  # noqa: E402 - knows the models, which are there only now

application = Events()
