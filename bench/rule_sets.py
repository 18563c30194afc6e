"""Targeting rules and contexts from a fixed seed, which other flag systems can say too.

Each flag has rules of its own: other attributes, values and order. The operators are those that all compared systems
have. translated_rules.py says the rules in the form of each system. This module imports no module of Flagsite, because
the programs of other libraries import it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass

SEED = 20_26
FLAGS, RULES, CLAUSES = 30, 5, 3
WORDS = {
    "plan": ("free", "pro", "team", "enterprise"),
    "country": ("at", "be", "ch", "de", "es", "fr", "gb", "it", "nl", "pl", "se", "us"),
    "role": ("owner", "admin", "editor", "viewer", "guest"),
}
NUMBERS = {"age": (10, 90), "seats": (1, 500)}
VERSIONS = ("appVersion", "osVersion")
BEGINNINGS = {
    "email": ("anna", "ben", "carla", "david", "eva", "finn", "greta", "henry"),
    "device": ("ios", "ipad", "android", "windows", "macos", "linux"),
}
HIGHEST_VERSION = (6, 9, 9)
Value = str | int
Context = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Clause:
    """One comparison. The operator is `in`, `gte`, `semverGte` or `startsWith`; one of the values has to match."""

    attribute: str
    operator: str
    values: tuple[Value, ...]


Rule = tuple[Clause, ...]
"""Clauses that all have to match."""


def rule_sets(flags: int = FLAGS, *, rules: int = RULES, clauses: int = CLAUSES) -> list[list[Rule]]:
    """Return the rules of each flag. A flag is on for whom one of its rules matches, otherwise off.

    Clauses of a rule ask for different attributes. About half of the contexts turn a flag on.
    """
    generator = random.Random(SEED)
    attributes = [*WORDS, *NUMBERS, *VERSIONS, *BEGINNINGS]
    return [
        [
            tuple(_clause(generator, attribute) for attribute in generator.sample(attributes, clauses))
            for _ in range(rules)
        ]
        for _ in range(flags)
    ]


def contexts(number: int) -> list[Context]:
    """Return the attributes of random users. Everybody has a value of each attribute."""
    generator = random.Random(SEED + 1)
    return [_context(generator) for _ in range(number)]


def is_on(rules: list[Rule], context: Context) -> bool:
    """Whether one of the rules matches: the plain answer that each system has to give."""
    return any(all(_matches(clause, context[clause.attribute]) for clause in rule) for rule in rules)


def _clause(generator: random.Random, attribute: str) -> Clause:
    """A clause that about half of the contexts match."""
    if attribute in WORDS:
        words = WORDS[attribute]
        return Clause(attribute, "in", tuple(generator.sample(words, len(words) // 2)))
    if attribute in BEGINNINGS:
        words = BEGINNINGS[attribute]
        return Clause(attribute, "startsWith", tuple(generator.sample(words, len(words) // 2)))
    share = generator.uniform(0.2, 0.7)
    if attribute in NUMBERS:
        low, high = NUMBERS[attribute]
        return Clause(attribute, "gte", (round(low + share * (high - low)),))
    return Clause(attribute, "semverGte", (f"{round(share * HIGHEST_VERSION[0])}.{generator.randint(0, 9)}.0",))


def _context(generator: random.Random) -> Context:
    context: Context = {name: generator.choice(words) for name, words in WORDS.items()}
    context |= {name: generator.randint(low, high) for name, (low, high) in NUMBERS.items()}
    context |= {name: ".".join(str(generator.randint(0, most)) for most in HIGHEST_VERSION) for name in VERSIONS}
    return context | {
        name: f"{generator.choice(words)}-{generator.randint(1, 10**6)}" for name, words in BEGINNINGS.items()
    }


def _matches(clause: Clause, value: Value) -> bool:
    if clause.operator == "in":
        return value in clause.values
    if clause.operator == "startsWith":
        return any(str(value).startswith(str(beginning)) for beginning in clause.values)
    (least,) = clause.values
    return _comparable(value) >= _comparable(least)


def _comparable(value: Value) -> tuple[int, ...]:
    return (value,) if isinstance(value, int) else tuple(map(int, value.split(".")))
