"""Flags that are not boolean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flags.definitions.models import Flag


def define_typed(key: str, flag_type: str, variants: Mapping[str, Any], **fields: Any) -> Flag:
    """Define a flag of a type with variants, whose numbers follow the order. The default variant is the first."""
    numbered = [
        {"key": name, "value": value, "number": number} for number, (name, value) in enumerate(variants.items(), 1)
    ]
    defaults = {"enabled": True, "default_variant": next(iter(variants)), "variants_made": len(variants)}
    return Flag.objects.create(key=key, type=flag_type, variants=numbered, **(defaults | fields))
