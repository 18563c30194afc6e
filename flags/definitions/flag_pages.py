"""The pages of the flags that audit entries name."""

from __future__ import annotations

from collections.abc import Collection

from django.urls import reverse

from flags.definitions.visible_flags import visible_flags
from orgs.access.caller import Caller


def find(keys: Collection[str], caller: Caller) -> dict[str, str]:
    """Return the addresses of the pages of those flags that the caller may see, by key."""
    flags = visible_flags(caller).filter(key__in=keys).values_list("key", "pk")
    return {key: reverse("admin:flags_flag_change", args=[pk]) for key, pk in flags}
