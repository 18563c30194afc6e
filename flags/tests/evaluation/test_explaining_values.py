"""Check, explain, the page and the command name the variant and the value of flags that are not boolean."""

from __future__ import annotations

import pytest

from conftest import Cast
from flags.definitions.models import Flag
from flags.states.models import Change, CustomValue, FlagSetting, FlagState
from flags.states.set_flag import set_flag
from flags.tests.evaluation.test_evaluation_page import words
from flags.tests.typed_flags import define_typed
from orgs.tests.api import Api
from orgs.tests.commands import run
from orgs.tests.people import signed_in
from orgs.tree.models import Organization

pytestmark = pytest.mark.django_db
RULE = {"id": "pros", "clauses": [{"attribute": "plan", "op": "in", "values": ["pro"]}], "serve": {"variant": "large"}}


@pytest.fixture
def limit(cast: Cast) -> Flag:
    """A flag of Oslo with its second variant, and of Bergen with a custom value."""
    flag = define_typed("limit", "float", {"small": 1.0, "large": 2.0}, targeting_rules=[RULE])
    custom = CustomValue.objects.create(flag=flag, value=3, digest=b"3")
    for organization, number in ((cast.oslo, 2), (cast.bergen, custom.pk)):
        set_flag(organization_id=organization.pk, flag_key="limit", enabled=True)
        for rows in (FlagState, FlagSetting, Change):
            rows.objects.filter(organization=organization).update(variant=number)
    return flag


def test_check_and_explain_have_the_variant_and_the_value(limit: Flag, cast: Cast, reader_key: str) -> None:
    api = Api(reader_key)

    def said(organization: Organization, how: str = "check") -> dict[str, object]:
        return dict(api.get(f"/v1/feature-flags/limit/{how}", organizationId=organization.pk).json())

    assert b'"value":3.0' in api.get("/v1/feature-flags/limit/check", organizationId=cast.bergen.pk).content
    for organization, variant, value, name in (
        (cast.oslo, "large", 2.0, "the variant 'large'"), (cast.bergen, "custom", 3.0, "a custom value"),
    ):  # fmt: skip
        assert (said(organization)["variant"], said(organization)["value"]) == (variant, value)
        explained = said(organization, "explain")
        steps, path = explained["steps"], explained["organizations"]
        assert isinstance(steps, list)
        assert isinstance(path, list)
        assert steps[-1]["detail"].endswith(f"It serves {name}.")
        assert path[-1]["why"].endswith(f"gives the stored value: {name}.")
        assert [path[-1]["variant"], path[-1]["latestChange"]["variant"], path[-1]["setting"]["variant"]] == (
            [variant] * 3
        )
        assert path[0]["variant"] == ""
    assert (said(cast.rome)["variant"], said(cast.rome)["value"]) == ("small", 1.0)
    Flag.objects.update(killed=True)
    assert (said(cast.rome)["variant"], said(cast.rome)["value"], said(cast.rome)["reason"]) == (None, None, "DISABLED")
    assert said(cast.oslo, "explain")["steps"] == [
        {"rule": "archived", "outcome": "next", "detail": "The flag is not archived."},
        {
            "rule": "killed",
            "outcome": "off",
            "detail": "The flag is killed. It serves no value, so the application's own default counts.",
        },
    ]


def test_the_page_and_the_command_name_them_too(limit: Flag, cast: Cast) -> None:
    viewer, address = signed_in("viewer"), f"/admin/flags/flag/{limit.pk}/evaluate/"
    page = words(viewer, address, organization="oslo")
    assert "Variant large: 2.0" in page
    page = words(viewer, address, organization="rome", attributes='{"plan": "pro"}')
    assert "The targeting rule 'pros' matches. It serves the variant 'large'." in page
    ran = run("explain_flag", "limit", "--organization", "bergen")
    assert "Variant custom: 3.0" in "\n".join(ran.lines)
