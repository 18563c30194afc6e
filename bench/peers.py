"""One evaluation by another library, 100 flags loaded, a rollout to half of the users: prints the microseconds.

Runs in the environment that bench/peers.txt describes, and imports nothing of ours: peers.py NAME.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable

FLAGS = 100
ROUNDS, CALLS = 7, 3000
Ask = Callable[[str], bool]


def unleash() -> Ask:
    """UnleashClient, with its flags given at the start; nothing is fetched and nothing sent."""
    from UnleashClient import UnleashClient
    from UnleashClient.cache import FileCache

    strategy = {"name": "flexibleRollout", "parameters": {"rollout": "50", "stickiness": "userId", "groupId": "x"}}
    features = [{"name": f"flag-{n}", "enabled": True, "strategies": [strategy]} for n in range(FLAGS)]
    cache = FileCache("bench", directory=tempfile.mkdtemp())
    cache.bootstrap_from_dict({"version": 2, "features": features})
    client = UnleashClient(
        "http://127.0.0.1:9/api", "bench", cache=cache, disable_metrics=True, disable_registration=True
    )
    client.initialize_client(fetch_toggles=False)
    return lambda user: client.is_enabled("flag-50", {"userId": user})


def growthbook() -> Ask:
    """GrowthBook, one instance whose user changes, as its documentation has it for servers."""
    from growthbook import GrowthBook

    rule = {"force": True, "coverage": 0.5, "hashAttribute": "id"}
    features = {f"flag-{n}": {"defaultValue": False, "rules": [rule]} for n in range(FLAGS)}
    client = GrowthBook(features=features, attributes={"id": ""})

    def ask(user: str) -> bool:
        client.set_attributes({"id": user})
        return client.is_on("flag-50")

    return ask


def flagsmith() -> Ask:
    """Flagsmith's engine; it evaluates whatever the context has, so it gets the one flag only."""
    from flag_engine.engine import get_evaluation_result

    split = {"property": "$.identity.key", "operator": "PERCENTAGE_SPLIT", "value": "50"}
    override = {"key": "1", "name": "flag-50", "enabled": True, "value": None}
    segment = {"key": "1", "name": "half", "rules": [{"type": "ALL", "conditions": [split]}], "overrides": [override]}
    context = {
        "environment": {"key": "bench", "name": "bench"},
        "features": {"flag-50": {"key": "1", "name": "flag-50", "enabled": False, "value": None}},
        "segments": {"1": segment},
    }

    def ask(user: str) -> bool:
        asked = {**context, "identity": {"identifier": user, "key": user}}
        return bool(get_evaluation_result(asked)["flags"]["flag-50"]["enabled"])

    return ask


def waffle() -> Ask:
    """django-waffle, its flags in the local-memory cache and in SQLite behind it."""
    import django
    from django.conf import settings

    settings.configure(
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", "waffle"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
    )
    django.setup()
    from django.contrib.auth.models import AnonymousUser
    from django.core.management import call_command
    from django.http import HttpRequest
    from waffle import flag_is_active
    from waffle.models import Flag

    call_command("migrate", verbosity=0)
    for n in range(FLAGS):
        Flag.objects.create(name=f"flag-{n}", percent=50)

    def ask(user: str) -> bool:
        request = HttpRequest()
        request.user = AnonymousUser()
        return bool(flag_is_active(request, "flag-50"))

    return ask


def microseconds(ask: Ask) -> float:
    """Of one call, the best of some rounds; different users in turn."""
    users = [f"user-{n}" for n in range(CALLS)]
    share = sum(ask(user) for user in users) / CALLS
    assert 0.4 < share < 0.6, share
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for user in users:
            ask(user)
        best = min(best, time.perf_counter() - began)
    return best / CALLS * 1e6


if __name__ == "__main__":
    logging.disable()
    peers = {"UnleashClient": unleash, "growthbook": growthbook, "flagsmith": flagsmith, "waffle": waffle}
    figure = microseconds(peers[sys.argv[1]]())
    print(json.dumps(figure), flush=True)
    os._exit(0)  # some leave threads behind
