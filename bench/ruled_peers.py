"""The program `ruled_peers.py NAME`: print the microseconds of one evaluation of targeting rules by another library.

The library has the flags of rule_sets.py. Before the program measures, it checks that the library gives the answers
that the rules mean. It runs in an environment with bench/peers.txt, so it imports no module of Flagsite.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench import translated_rules
from bench.rule_sets import Context, contexts, is_on, rule_sets

CHECKED, MEASURED, ROUNDS = 500, 3000, 7
Evaluate = Callable[[int, Any], bool]
"""Says whether the flag with a number is on in a context."""
Prepare = Callable[[str, Context], Any]
"""Makes the context of a user in the form that the library takes, which is not measured."""


def unleash() -> tuple[Evaluate, Prepare]:
    """UnleashClient with flags that it gets at its start. It neither fetches nor sends data."""
    from UnleashClient import UnleashClient
    from UnleashClient.cache import FileCache

    cache = FileCache("bench", directory=tempfile.mkdtemp())
    features = [
        {"name": name, "enabled": True, "strategies": translated_rules.unleash_rules(rules)}
        for name, rules in _named_rules().items()
    ]
    cache.bootstrap_from_dict({"version": 2, "features": features})
    client = UnleashClient(
        "http://127.0.0.1:9/api", "bench", cache=cache, disable_metrics=True, disable_registration=True
    )
    client.initialize_client(fetch_toggles=False)
    names = list(_named_rules())
    return lambda flag, context: client.is_enabled(names[flag], context), translated_rules.unleash_context


def growthbook() -> tuple[Evaluate, Prepare]:
    """GrowthBook with one instance whose user changes, as its documentation recommends for servers."""
    from growthbook import GrowthBook

    features = {
        name: {"defaultValue": False, "rules": translated_rules.growthbook_rules(rules)}
        for name, rules in _named_rules().items()
    }
    client, names = GrowthBook(features=features, attributes={"id": ""}), list(features)

    def evaluate(flag: int, attributes: Any) -> bool:
        client.set_attributes(attributes)
        return client.is_on(names[flag])

    return evaluate, translated_rules.growthbook_context


def flagsmith() -> tuple[Evaluate, Prepare]:
    """Flagsmith's engine. It evaluates every flag of its context, so each flag has a context of its own."""
    from flag_engine.engine import get_evaluation_result

    environment = {"key": "bench", "name": "bench"}
    own = [
        {
            "environment": environment,
            "features": {name: {"key": "1", "name": name, "enabled": False, "value": None}},
            "segments": {"1": translated_rules.flagsmith_segment(name, rules)},
        }
        for name, rules in _named_rules().items()
    ]
    names = list(_named_rules())

    def evaluate(flag: int, identity: Any) -> bool:
        result = get_evaluation_result({**own[flag], "identity": identity})
        return bool(result["flags"][names[flag]]["enabled"])

    return evaluate, lambda user, context: {"identifier": user, "key": user, "traits": context}


def flagd() -> tuple[Evaluate, Prepare]:
    """OpenFeature's client with the provider of flagd, which reads its flags from a file and evaluates them itself."""
    from openfeature import api
    from openfeature.contrib.provider.flagd import FlagdProvider
    from openfeature.contrib.provider.flagd.config import ResolverType
    from openfeature.evaluation_context import EvaluationContext

    flags = {
        name: {"state": "ENABLED", "variants": {"on": True, "off": False}, "defaultVariant": "off",
               "targeting": translated_rules.flagd_targeting(rules)}
        for name, rules in _named_rules().items()
    }  # fmt: skip
    file = Path(tempfile.mkdtemp()) / "flags.json"
    file.write_text(json.dumps({"flags": flags}))
    api.set_provider_and_wait(FlagdProvider(resolver_type=ResolverType.FILE, offline_flag_source_path=str(file)))
    client, names = api.get_client(), list(flags)

    def evaluate(flag: int, context: Any) -> bool:
        return client.get_boolean_value(names[flag], default_value=False, evaluation_context=context)

    return evaluate, EvaluationContext


def checked_microseconds(evaluate: Evaluate, prepare: Prepare) -> float:
    """The microseconds of one call, over different users and all flags in turn: the best of several rounds.

    Exits if an answer is not the one that the rules mean.
    """
    sets, users = rule_sets(), contexts(MEASURED)
    prepared = [prepare(f"user-{number}", context) for number, context in enumerate(users)]
    for context, given in zip(users[:CHECKED], prepared, strict=False):
        for flag, rules in enumerate(sets):
            if evaluate(flag, given) != is_on(rules, context):
                sys.exit(f"flag {flag} is {evaluate(flag, given)} for {context}, but its rules are {rules}")
    calls = [(number % len(sets), given) for number, given in enumerate(prepared)]
    best = float("inf")
    for _ in range(ROUNDS):
        began = time.perf_counter()
        for flag, given in calls:
            evaluate(flag, given)
        best = min(best, time.perf_counter() - began)
    return best / len(calls) * 1e6


def _named_rules() -> dict[str, Any]:
    return {f"ruled-{number}": rules for number, rules in enumerate(rule_sets())}


PEERS = {"UnleashClient": unleash, "growthbook": growthbook, "flagsmith": flagsmith, "flagd": flagd}

if __name__ == "__main__":
    logging.disable()
    figure = checked_microseconds(*PEERS[sys.argv[1]]())
    print(json.dumps(figure), flush=True)
    os._exit(0)  # some libraries leave threads running
