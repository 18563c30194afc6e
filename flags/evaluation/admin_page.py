"""The admin site's page that evaluates a flag for a user of an organization, and explains the result step by step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from django import forms
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from unfold.widgets import UnfoldAdminTextareaWidget, UnfoldAdminTextInputWidget

from flags.definitions.models import Flag
from flags.definitions.visible_flags import visible_flags
from flags.errors import TargetingKeyMissing
from flags.evaluation import explain
from flags.evaluation.engine import EvaluationContext, Step
from flags.evaluation.explain import Checked, PathEntry
from flags.evaluation.reasons import Rule
from flags.history.moments import LONGEST, find_moment
from flags.history.past_explanation import PastExplanation, explain_then
from flags.targeting.json_attributes import WrongAttributes, attributes_in
from flags.targeting.traces import RuleTrace
from flagsite.core.admin.json_text import TypedJson
from flagsite.core.db.snapshot import snapshot
from flagsite.core.errors import FlagsiteError
from orgs.access.caller import Caller
from orgs.access.operator_admin import OperatorAdmin
from orgs.access.organization_picker import OrganizationField
from orgs.tree.paths import LOWEST

if TYPE_CHECKING:
    Pages = OperatorAdmin
else:
    Pages = object

MAX_TEXT = 65_536
"""Characters of a targeting key or an environment, as in the API (`flags.evaluation.serializers`)."""

MOST_CHANGED = 50
"""The number of organizations with a change that the page of a long path shows."""

RULES = {
    Rule.ARCHIVED: "Is the flag archived?",
    Rule.KILLED: "Is the flag killed?",
    Rule.PREREQUISITE: "Are the prerequisites on?",
    Rule.ENVIRONMENT: "Does the environment override the flag?",
    Rule.WHITELIST: "Is the user on the whitelist?",
    Rule.TARGETING: "Does a targeting rule match?",
    Rule.ORGANIZATION: "What is the organization's stored value?",
    Rule.DEFAULT: "What is the flag's default?",
    Rule.ROLLOUT: "Is the user inside the rollout?",
    Rule.DEFAULT_ROLLOUT: "Which variant does the default rollout choose?",
}
"""The question that each rule asks, for people."""


class EvaluationForm(forms.Form):
    """The user, the organization, the environment and the attributes of an evaluation. Each of them may be empty."""

    organization = OrganizationField(required=False, help_text="Type a part of the name, or the key.")
    user = forms.CharField(
        max_length=MAX_TEXT,
        required=False,
        strip=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="The targeting key that your application sends, such as user-17. It is needed if the flag is rolled "
        "out to a part of the users.",
    )
    environment = forms.CharField(
        max_length=MAX_TEXT,
        required=False,
        strip=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="Such as production. It is needed only if the flag has environment overrides.",
    )
    attributes = forms.JSONField(
        required=False,
        initial=dict,
        decoder=TypedJson,
        widget=UnfoldAdminTextareaWidget(attrs={"rows": 2}),
        help_text='What targeting rules can ask for, in JSON: {"plan": "pro", "country": "DE"}.',
    )
    at = forms.CharField(
        label="At",
        max_length=LONGEST,
        required=False,
        widget=UnfoldAdminTextInputWidget(),
        help_text="A time of the past in UTC, such as 2026-03-14T12:00, or the number of a change. Empty: now.",
    )

    def __init__(self, caller: Caller, flag: Flag, data: Any, *, prefix: str | None = None) -> None:
        super().__init__(data, prefix=prefix)
        organization: Any = self.fields["organization"]
        organization.caller = caller
        organization.required = caller.organization_id is not None
        if flag.environments:
            known = ", ".join(sorted(flag.environments))
            self.fields["environment"].help_text = f"The flag has overrides for: {known}."

    def clean_attributes(self) -> dict[str, Any]:
        attributes = self.cleaned_data["attributes"] or {}
        if not isinstance(attributes, dict):
            raise forms.ValidationError('This is not an object. Write names and values, such as {"plan": "pro"}.')
        try:
            return attributes_in(attributes)
        except WrongAttributes as error:
            raise forms.ValidationError(str(error)) from error


@dataclass(frozen=True, slots=True)
class Explanation:
    """The result of an evaluation for people. Without `checked`, `refusal` says what the evaluation needs."""

    checked: Checked | None = None
    path: list[PathEntry] = field(default_factory=list)
    rule_traces: list[RuleTrace] = field(default_factory=list)
    refusal: str = ""
    so_far: tuple[Step, ...] = ()
    past: PastExplanation | None = None
    """The past explanation, if the person asks for a past moment."""

    @property
    def folded_path(self) -> list[tuple[int, PathEntry]]:
        """The organizations that a page shows, each with the number of organizations left out before it.

        On a long path these are the top, the lower end, the one that decides, and the lowest on which somebody set
        the flag.
        """
        last = len(self.path) - 1
        changed = [number for number, entry in enumerate(self.path) if entry.change][-MOST_CHANGED:]
        deciding = [number for number, entry in enumerate(self.path) if entry.decides]
        numbers = sorted({0, *changed, *deciding, *range(max(0, last + 1 - LOWEST), last + 1)}) if self.path else []
        return [(number - before - 1, self.path[number]) for before, number in zip([-1, *numbers], numbers)]  # noqa: B905

    @property
    def steps(self) -> list[tuple[str, Step]]:
        """Each step, with the question that its rule asks."""
        steps = self.so_far if self.checked is None else self.checked.decision.steps
        return [(RULES[step.rule], step) for step in steps]


class EvaluationPages(Pages):
    """The mixin that adds the page of evaluations to the pages of flags."""

    def evaluation_urls(self) -> list[URLPattern]:
        """Return the URL pattern of the page."""
        view = self.admin_site.admin_view(self.evaluation_view)
        return [path("<int:flag_id>/evaluate/", view, name="flags_flag_evaluate")]

    def evaluation_view(self, request: HttpRequest, flag_id: int) -> HttpResponse:
        """Ask for user, organization and environment, and explain what this user gets.

        The form is sent in the body, so that the targeting key is in no log. A link may name the organization.
        """
        caller = self.require_viewer(request)
        flag = visible_flags(caller).filter(pk=flag_id).first()
        if flag is None:
            raise Http404
        form = EvaluationForm(caller, flag, _given(request, caller))
        explanation = explanation_of(caller, flag, form.cleaned_data) if form.is_bound and form.is_valid() else None
        context = {"title": f"Try out {flag.key}", "flag": flag, "form": form, "explanation": explanation}
        request.current_app = self.admin_site.name
        frame = {**self.admin_site.each_context(request), "opts": self.opts}
        return TemplateResponse(request, "admin/flags/evaluate.html", frame | context)


def _given(request: HttpRequest, caller: Caller) -> Any:
    """Return the input of the form, or else the organization of the link or of the person, or else None."""
    if request.method == "POST":
        return request.POST
    organization = request.GET.get("organization") or (f"id:{caller.organization_id}" if caller.organization_id else "")
    return {"organization": organization, "attributes": "{}"} if organization else None


def explanation_of(caller: Caller, flag: Flag, values: dict[str, Any]) -> Explanation:
    """Evaluate the flag with the values of the form, and explain the result.

    Args:
        caller: the person, who sees the path from the top of their scope.
        flag: a flag that the person may see.
        values: the organization (or None), the user, the environment, the attributes, and the moment (empty for now).

    Returns:
        The explanation. It has the steps so far and a sentence if the evaluation needs a user or an organization.
    """
    organization = values["organization"]
    context = EvaluationContext(values["user"] or None, values["environment"] or None, values["attributes"])
    try:
        with snapshot():
            organization_id = organization.pk if organization else None
            if values["at"]:
                moment = find_moment(caller, values["at"].strip())
                past = explain_then(
                    caller, key=flag.key, organization_id=organization_id, context=context, moment=moment
                )
                return Explanation(past.checked, past.path, _traces(caller, past.checked), past=past)
            checked = explain.check(key=flag.key, organization_id=organization_id, context=context)
            path = explain.explain_path(checked, top_id=caller.organization_id)
            return Explanation(checked, path, _traces(caller, checked))
    except TargetingKeyMissing as error:
        return Explanation(refusal=error.detail, so_far=cast("tuple[Step, ...]", tuple(error.steps)))
    except FlagsiteError as error:  # the flag or the organization was deleted meanwhile
        return Explanation(refusal=error.detail)


def _traces(caller: Caller, checked: Checked) -> list[RuleTrace]:
    """The traces of targeting rules. Their values name users and organizations of others, so bound people get none."""
    return checked.rule_traces if caller.organization_id is None else []
