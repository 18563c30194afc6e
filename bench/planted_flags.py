"""The flags of mixed_flags.py in Flagsite's own tables."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from bench.installation import Installation
from bench.mixed_flags import DEFAULT_VARIANT, VARIANTS, MixedFlag
from bench.translated_rules import flagsite_rules

PLANT_FLAG = """
INSERT INTO flags_flag (key, description, type, variants, variants_made, default_variant, targeting_rules)
VALUES (%(name)s, '', %(type)s, %(variants)s, %(made)s, %(default)s, %(rules)s)
"""
TYPED = {
    "type": "object", "made": len(VARIANTS), "default": DEFAULT_VARIANT,
    "variants": json.dumps([{"key": key, "value": VARIANTS[key], "number": n} for n, key in enumerate(VARIANTS, 1)]),
}  # fmt: skip
BOOLEAN = {"type": "boolean", "made": 0, "default": "", "variants": "[]"}


def plant_flags(
    installation: Installation,
    flags: list[MixedFlag],
    rules: Callable[[MixedFlag], list[dict[str, Any]]] = lambda flag: flagsite_rules(flag.rules),
) -> None:
    """Insert the definitions of the flags; `rules` returns the targeting rules of a flag."""
    for flag in flags:
        kind = TYPED if flag.has_objects else BOOLEAN
        installation.sql(PLANT_FLAG, {"name": flag.name, "rules": json.dumps(rules(flag)), **kind})
