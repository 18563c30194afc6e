"""A flag with the variants blue and red, and what organizations have of it."""

from __future__ import annotations

from typing import Any

from flags.definitions.models import Flag
from flags.models import CustomValue, FlagState
from flags.values.types import FlagType
from jobs.engine import runner
from orgs.tests.api import Api
from orgs.tree.models import Organization

COLORS = [{"key": "blue", "value": "#00f", "number": 1}, {"key": "red", "value": "#f00", "number": 2}]


def color_flag() -> Flag:
    return Flag.objects.create(
        key="color", type=FlagType.STRING, variants=COLORS, variants_made=2, default_variant="blue",
        value_schema={"maxLength": 7},
    )  # fmt: skip


def address(organization: Organization) -> str:
    return f"/v1/organizations/{organization.key}/flags/color"


def put(api: Api, organization: Organization, **body: Any) -> Any:
    answer = api.put(address(organization), body)
    carry_out()
    return answer


def carry_out() -> None:
    while runner.run_next("propagation"):
        pass


def rows() -> dict[str, Any]:
    """Each organization's value by its key: off, the key of a variant, or a list with a custom value."""
    custom = dict(CustomValue.objects.values_list("pk", "value"))
    words = {0: "on", 1: "blue", 2: "red"}
    states = FlagState.objects.filter(enabled__isnull=False).values_list("organization__key", "enabled", "variant")
    return {
        key: [custom[variant]] if variant in custom else words[variant] if enabled else "off"
        for key, enabled, variant in states
    }
