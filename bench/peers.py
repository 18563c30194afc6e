"""The program `peers.py NAME`: print the microseconds of one evaluation by another library.

The library has 100 flags and a rollout to half of the users. The program runs in an environment with bench/peers.txt,
so it imports no module of Flagsite.
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
Evaluate = Callable[[str], bool]


def unleash() -> Evaluate:
    """UnleashClient with flags that it gets at its start. It neither fetches nor sends data."""
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


def growthbook() -> Evaluate:
    """GrowthBook with one instance whose user changes, as its documentation recommends for servers."""
    from growthbook import GrowthBook

    rule = {"force": True, "coverage": 0.5, "hashAttribute": "id"}
    features = {f"flag-{n}": {"defaultValue": False, "rules": [rule]} for n in range(FLAGS)}
    client = GrowthBook(features=features, attributes={"id": ""})

    def evaluate(user: str) -> bool:
        client.set_attributes({"id": user})
        return client.is_on("flag-50")

    return evaluate


def flagsmith() -> Evaluate:
    """Flagsmith's engine. It evaluates every flag of the context, so the context has one flag only."""
    from flag_engine.engine import get_evaluation_result

    split = {"property": "$.identity.key", "operator": "PERCENTAGE_SPLIT", "value": "50"}
    override = {"key": "1", "name": "flag-50", "enabled": True, "value": None}
    segment = {"key": "1", "name": "half", "rules": [{"type": "ALL", "conditions": [split]}], "overrides": [override]}
    context = {
        "environment": {"key": "bench", "name": "bench"},
        "features": {"flag-50": {"key": "1", "name": "flag-50", "enabled": False, "value": None}},
        "segments": {"1": segment},
    }

    def evaluate(user: str) -> bool:
        user_context = {**context, "identity": {"identifier": user, "key": user}}
        return bool(get_evaluation_result(user_context)["flags"]["flag-50"]["enabled"])

    return evaluate


def waffle() -> Evaluate:
    """django-waffle with its flags in SQLite and in the local-memory cache."""
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

    def evaluate(user: str) -> bool:
        request = HttpRequest()
        request.user = AnonymousUser()
        return bool(flag_is_active(request, "flag-50"))

    return evaluate


def microseconds(evaluate: Evaluate) -> float:
    """The microseconds of one call: the best of several rounds over different users."""
    users = [f"user-{n}" for n in range(CALLS)]
    share = sum(evaluate(user) for user in users) / CALLS
    assert 0.4 < share < 0.6, share
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for user in users:
            evaluate(user)
        best = min(best, time.perf_counter() - began)
    return best / CALLS * 1e6


if __name__ == "__main__":
    logging.disable()
    peers = {"UnleashClient": unleash, "growthbook": growthbook, "flagsmith": flagsmith, "waffle": waffle}
    figure = microseconds(peers[sys.argv[1]]())
    print(json.dumps(figure), flush=True)
    os._exit(0)  # some libraries leave threads running
