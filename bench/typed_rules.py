"""Targeting rules for benchmarks: every flag has its own, and every user has random attributes.

All is drawn from a fixed seed, so that each run measures the same. Attributes, operators, values and their order differ
from rule to rule, so that no flag can use what another one has found out.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

RULES, CLAUSES, SEGMENTS = 5, 3, 10
PLANS = ["free", "pro", "team", "business", "trial", "partner"]
COUNTRIES = ["AT", "BR", "CH", "DE", "DK", "ES", "FR", "IN", "JP", "PL", "US", "ZA"]
ROLES = ["owner", "admin", "editor", "reader", "guest"]
REGIONS = ["north", "east", "south", "west"]
NAMES = ["anna", "ben", "carla", "dario", "elif", "fatou", "goran", "hana", "igor", "jun", "kofi", "lena"]
DOMAINS = ["example.com", "example.org", "mail.example.net", "corp.example.io"]
PATHS = ["/shop/", "/shop/cart", "/account/", "/account/orders", "/help/", "/admin/"]
BROWSERS = ["Firefox", "Chrome", "Safari", "Edge"]
LETTERS, DIGITS = "abcdefghijkl", "0123456789"
Clause = dict[str, Any]


def user_of(draw: random.Random) -> dict[str, Any]:
    """The attributes of a random user."""
    return {
        "plan": draw.choice(PLANS), "country": draw.choice(COUNTRIES), "role": draw.choice(ROLES),
        "age": draw.randint(10, 90), "seats": draw.randint(1, 500), "visits": draw.randint(0, 10_000),
        "version": _version(draw), "system": _version(draw),
        "email": f"{draw.choice(NAMES)}{draw.randint(1, 99)}@{draw.choice(DOMAINS)}",
        "path": f"{draw.choice(PATHS)}{draw.randint(1, 999)}",
        "address": f"10.{draw.randint(0, 255)}.{draw.randint(0, 255)}.{draw.randint(1, 254)}",
        "agent": f"{draw.choice(BROWSERS)}/{draw.randint(80, 149)}.0",
    }  # fmt: skip


def attributes_of_organization(draw: random.Random) -> dict[str, Any]:
    """The attributes of a random organization."""
    return {"plan": draw.choice(PLANS), "region": draw.choice(REGIONS)}


def rules_of_flag(draw: random.Random) -> list[dict[str, Any]]:
    """Five rules of three clauses each."""
    return [
        {"id": f"rule-{number}", "clauses": _clauses(draw, CLAUSES), "serve": {"variant": draw.choice(["on", "off"])}}
        for number in range(RULES)
    ]


def rules_of_flags(count: int) -> list[list[dict[str, Any]]]:
    """The rules of so many flags."""
    draw = random.Random(5)
    return [rules_of_flag(draw) for _ in range(count)]


def segments() -> dict[str, list[dict[str, Any]]]:
    """The rules of the segments that the rules of flags name, by key: two rules of two clauses each."""
    draw = random.Random(6)
    return {
        f"segment-{number}": [
            {"id": f"rule-{place}", "clauses": _clauses(draw, 2, without="inSegment")} for place in range(2)
        ]
        for number in range(SEGMENTS)
    }


def _clauses(draw: random.Random, count: int, without: str = "") -> list[Clause]:
    """Clauses of different operators."""
    return [MAKERS[op](draw) for op in draw.sample([op for op in MAKERS if op != without], count)]


def _in(draw: random.Random) -> Clause:
    name, known = draw.choice([("plan", PLANS), ("country", COUNTRIES), ("role", ROLES)])
    return {"attribute": name, "op": "in", "values": draw.sample(known, draw.randint(1, len(known) // 2))}


def _number(draw: random.Random) -> Clause:
    name, most = draw.choice([("age", 90), ("seats", 500), ("visits", 10_000)])
    return {"attribute": name, "op": draw.choice(["gte", "lt"]), "values": [draw.randint(1, most)]}


def _semver(draw: random.Random) -> Clause:
    return {"attribute": draw.choice(["version", "system"]), "op": "semverGte", "values": [_version(draw)]}


def _starts_with(draw: random.Random) -> Clause:
    name, known = draw.choice([("email", NAMES), ("path", PATHS)])
    return {"attribute": name, "op": "startsWith", "values": draw.sample(known, draw.randint(1, len(known) // 2))}


def _in_cidr(draw: random.Random) -> Clause:
    networks = [f"10.{draw.randint(0, 255)}.0.0/{draw.randint(9, 12)}" for _ in range(draw.randint(1, 3))]
    return {"attribute": "address", "op": "inCidr", "values": networks}


def _matches(draw: random.Random) -> Clause:
    letters, digits = "".join(draw.sample(LETTERS, 4)), "".join(draw.sample(DIGITS, 5))
    of_name = {
        "email": [f"^[{letters}]", f"[{digits}]@", f"^{letters[0]}|[{letters[1:3]}]{{2}}", rf"\d[{digits}]@\w+\.com$"],
        "agent": [
            rf"/\d*[{digits}]\.", rf"^[A-F]\w+/1?[{digits}]", f"[{letters}]{{2}}.*[{digits}]", rf"[{digits}]\.0$"
        ],
    }  # fmt: skip
    name = draw.choice(list(of_name))
    patterns = of_name[name]
    return {"attribute": name, "op": "matches", "values": draw.sample(patterns, draw.randint(1, 2))}


def _in_segment(draw: random.Random) -> Clause:
    return {"attribute": "", "op": "inSegment", "values": [f"segment-{draw.randrange(SEGMENTS)}"]}


def _of_organization(draw: random.Random) -> Clause:
    name, known = draw.choice([("org.plan", PLANS), ("org.region", REGIONS)])
    return {"attribute": name, "op": "in", "values": draw.sample(known, draw.randint(1, len(known) // 2))}


def _version(draw: random.Random) -> str:
    return f"{draw.randint(0, 6)}.{draw.randint(0, 9)}.{draw.randint(0, 3)}"


MAKERS: dict[str, Callable[[random.Random], Clause]] = {
    "in": _in, "number": _number, "semverGte": _semver, "startsWith": _starts_with, "inCidr": _in_cidr,
    "matches": _matches, "inSegment": _in_segment, "org": _of_organization,
}  # fmt: skip
"""What makes a random clause of each kind."""
