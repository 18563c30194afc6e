"""Flags with types and targeting rules: their reads compared with those of boolean flags, and a flip to a variant."""

from __future__ import annotations

import json
import random
import time
from statistics import fmean, median

from bench import client, typed_rules
from bench.installation import Installation
from bench.reads import FLAGS, PATH, PLANT_FLAGS, PLANT_STATES, Measured, better_quarter, measured_run, warm_up
from bench.report import Result

REQUESTS_OF_A_TURN = 3_000
ROUNDS, WARM_UPS = 8, 3
FLIPS = 5
MAX_READS, MAX_FLIP, MAX_MICROSECONDS = 1.5, 1.05, 5.0
VARIANTS = json.dumps([
    {"key": "one", "value": {"limit": 10, "label": "one"}, "number": 1},
    {"key": "two", "value": {"limit": 20, "label": "two"}, "number": 2},
])  # fmt: skip
TYPED = """
UPDATE flags_flag
   SET type = CASE WHEN place %% 5 < 2 THEN 'object' ELSE 'boolean' END,
       variants = CASE WHEN place %% 5 < 2 THEN %(variants)s ELSE '[]' END::jsonb,
       default_variant = CASE WHEN place %% 5 < 2 THEN 'one' ELSE '' END, variants_made = 2,
       targeting_rules = CASE WHEN place %% 10 IN (7, 8, 9)
                              THEN %(rules)s::jsonb -> (place / 10 * 3 + place %% 10 - 7)::int ELSE '[]' END,
       version = version + 1
  FROM (SELECT id AS numbered, row_number() OVER (ORDER BY id) AS place FROM flags_flag) numbered
 WHERE numbered = flags_flag.id
"""
"""40 flags get a type and variants, and 30 of the others rules, each its own."""
RULED_FLAGS = 30
PLANT_SEGMENTS = """
INSERT INTO flags_segment (key, rules) SELECT key, value FROM jsonb_each(%(segments)s)
"""
PLANT_ATTRIBUTES = """
INSERT INTO orgs_organizationattribute (organization_id, name, value)
SELECT (each ->> 0)::bigint, each ->> 1, each -> 2 FROM jsonb_array_elements(%(attributes)s) each
"""
BOOLEAN = """
UPDATE flags_flag SET type = 'boolean', variants = '[]', default_variant = '', targeting_rules = '[]',
                      version = version + 1
"""
MEASURE_RULES = """
import django, json; django.setup()
from bench.ruled_flags import measure
print(json.dumps(measure({flags})), flush=True)
"""


def typed_reads(installation: Installation, rows: int) -> list[Result]:
    """Measure an evaluation of 100 flags, boolean ones in turns with typed ones and rules, and rules in a process."""
    installation.create_trees(max(1000, rows // 10))
    ((organizations,),) = installation.sql("SELECT count(*) FROM orgs_organization")
    installation.sql(PLANT_FLAGS, {"flags": FLAGS})
    installation.sql(PLANT_STATES)
    installation.sql("VACUUM (ANALYZE) flags_flagstate")
    _plant_segments_and_attributes(installation)
    warm_up(installation, organizations)
    requests = _requests(installation, organizations)
    rules = json.dumps(typed_rules.rules_of_flags(RULED_FLAGS))
    turns: dict[str, list[Measured]] = {"boolean": [], "typed": []}
    for number in range(ROUNDS):
        for name in sorted(turns, reverse=number % 2 == 1):
            installation.sql(*((BOOLEAN,) if name == "boolean" else (TYPED, {"variants": VARIANTS, "rules": rules})))
            time.sleep(1.5)  # until the processes have read the definitions
            for _ in range(WARM_UPS):  # until each process has compiled them for nearly all organizations
                measured_run(installation, installation.port, requests)
            turns[name].append(measured_run(installation, installation.port, requests))
    assert {status for each in turns.values() for one in each for status in one.run.statuses} == {200}
    boolean, typed = (better_quarter(turns[name])[0] for name in ("boolean", "typed"))
    ratio = typed / boolean
    of_flags: list[float] = json.loads(installation.python(MEASURE_RULES.format(flags=FLAGS)).splitlines()[-1])
    microseconds = fmean(of_flags)
    return [
        Result(
            f"all of 100 flags, 40 typed and 30 with rules, {organizations:,} organizations", f"{typed:.3f} ms CPU",
            f"boolean flags {boolean:.3f} ms", ratio, f"≤ {MAX_READS} ×", ratio <= MAX_READS,
            {name: [each.cpu for each in of_name] for name, of_name in turns.items()},
        ),
        Result(
            f"is_enabled, 5 rules of 3 clauses, mean of {FLAGS} flags", f"{microseconds:.2f} µs",
            f"slowest flag {max(of_flags):.2f} µs", microseconds, f"≤ {MAX_MICROSECONDS:g} µs",
            microseconds <= MAX_MICROSECONDS, {"microseconds": of_flags},
        ),
    ]  # fmt: skip


def _plant_segments_and_attributes(installation: Installation) -> None:
    """Create the segments, and give the root and the organizations below it attributes."""
    draw = random.Random(2)
    organizations = installation.sql("SELECT id FROM orgs_organization WHERE level < 2")
    attributes = [
        (organization, name, value)
        for (organization,) in organizations
        for name, value in typed_rules.attributes_of_organization(draw).items()
    ]
    installation.sql(PLANT_SEGMENTS, {"segments": json.dumps(typed_rules.segments())})
    installation.sql(PLANT_ATTRIBUTES, {"attributes": json.dumps(attributes)})


def _requests(installation: Installation, organizations: int) -> list[bytes]:
    """Requests of random users, with attributes, of random organizations."""
    draw = random.Random(1)
    key = str(installation.http.headers["Authorization"]).removeprefix("Bearer ")
    bodies = (
        {
            "targetingKey": f"user-{draw.randint(1, 10**6)}",
            "organizationId": draw.randint(1, organizations),
            **typed_rules.user_of(draw),
        }
        for _ in range(REQUESTS_OF_A_TURN)
    )
    return [client.post(installation.port, PATH, key, json.dumps({"context": body}).encode()) for body in bodies]


def variant_flip(installation: Installation, rows: int) -> Result:
    """Flip all descendants from one variant to another, in turns with flips of a boolean flag."""
    booleans, variants = [], []
    with installation.worker():
        (root,) = installation.create_trees(rows)
        installation.flip(root)
        fields = {"name": "typed", "type": "object", "variants": [
            {"key": each["key"], "value": each["value"]} for each in json.loads(VARIANTS)
        ], "defaultVariant": "one", "offVariant": None}  # fmt: skip
        answer = installation.http.post("/v1/feature-flags", json=fields)
        assert answer.status_code in {201, 409}, answer.text
        for variant in ("one", "two"):
            _give(installation, root, variant)
        installation.flip(root, enabled=False)
        installation.sql("VACUUM (ANALYZE) flags_flagstate")
        for number in range(FLIPS):
            booleans.append(installation.flip(root, enabled=number % 2 == 0))
            variants.append(_give(installation, root, "one" if number % 2 == 0 else "two"))
    ratio = median(variants) / median(booleans)
    return Result(
        f"flip of {rows:,} descendants to a variant", f"{median(variants):.2f} s",
        f"boolean flip {median(booleans):.2f} s", ratio, f"≤ {MAX_FLIP} ×", ratio <= MAX_FLIP,
        {"variants": variants, "booleans": booleans},
    )  # fmt: skip


def _give(installation: Installation, root: int, variant: str) -> float:
    """Give the root a variant, and end what is set below. Returns the seconds until the job is COMPLETED."""
    began = time.perf_counter()
    answer = installation.http.put(
        f"/v1/organizations/{root}/flags/typed", json={"variant": variant, "below": "overwrite"}
    )
    assert answer.status_code == 202, answer.text
    installation.wait(int(answer.json()["jobId"]))
    return time.perf_counter() - began
