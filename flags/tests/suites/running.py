"""The public suites of other products, run here: their flags are imported, and their cases evaluated.

Each file in `data/` has what one suite says as facts: the flags in the form of the product, and cases. A case has a
flag, an evaluation context, and what the product answers: `value` (null if the code's own default counts), `enabled`,
`variant` or `reason`; `hasVariant` is false where it serves none beside on and off. `leftOut` has the flags that the
import leaves out, with the code of the reason. `differs` is the code of the reason why Flagsite answers a case in
another way on purpose. docs/suites.md explains the codes.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from flags.errors import TargetingKeyMissing
from flags.evaluation.engine import NO_ORGANIZATION_CONTEXT, Definition, EvaluationContext, evaluate
from flags.evaluation.reasons import Reason
from flags.moving.reading import Reading, read_flag_file
from flags.serving.compiled_environment import CompiledFlags
from flags.serving.definition_set import DefinitionSet
from flags.serving.organization_snapshot import NO_ORGANIZATION
from flags.serving.resolution import FailedResolution
from flags.tests.moving.importing import definitions_of, read

FOLDER = Path(__file__).parent / "data"
OWN = "flagsite"
"""The product in place of one that has no import: somebody has written its flags as a flag file."""
FLAG_SUITES = ("flagd", "unleash", "growthbook", "flagsmith", "harness", "launchdarkly", "semver", "node-semver")
"""The names of the files whose cases are evaluations of flags."""
ASKED = ("value", "enabled", "variant", "reason")
AS_EXPECTED = "as expected"
UNLISTED = "?"
"""How a case ends that is answered in another way, and is not listed."""
CIRCLE = "circle"
"""How a case ends whose flag Flagsite does not write, because flags need each other in a circle."""
NO_TEXT = "targeting-key"
"""How a case ends whose targeting key is no text: OFREP refuses the request."""
Answer = dict[str, Any]


@cache
def suite(name: str) -> dict[str, Any]:
    """What a file says."""
    content: dict[str, Any] = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    return content


def read_file(name: str, content: Any) -> tuple[dict[str, Definition], Reading]:
    """The definitions of a file of a suite, and what the import says. The flags of some suites are a flag file."""
    product = suite(name)["product"]
    if product != OWN:
        return read(product, content)
    reading = read_flag_file(content)
    return definitions_of(reading), reading


def by_engine(definitions: Mapping[str, Definition], key: str, context: Mapping[str, Any]) -> Answer:
    """What the engine answers."""
    asked = EvaluationContext(context.get("targetingKey"), None, context)
    try:
        found = evaluate(definitions[key], NO_ORGANIZATION_CONTEXT, asked, definitions)
    except TargetingKeyMissing:
        return {"error": "TARGETING_KEY_MISSING"}
    return {"value": found.value, "enabled": found.enabled, "variant": found.variant, "reason": found.reason}


def by_compiled_flag(compiled: CompiledFlags, key: str, context: Mapping[str, Any]) -> Answer:
    """What the evaluation cache answers."""
    user = context.get("targetingKey") or ""
    found = compiled[key].decide(NO_ORGANIZATION, user, user.encode(), context)
    if isinstance(found, FailedResolution):
        return {"error": "TARGETING_KEY_MISSING"}
    return {"value": found.value, "enabled": found.enabled, "variant": found.variant, "reason": Reason(found.reason)}


def fits(case: Mapping[str, Any], answer: Answer) -> bool:
    """Whether an answer is the expected one. JSON tells true from 1, and 1 is 1.0."""
    asked = {name: case[name] for name in ASKED if name in case}
    is_told = all(name in answer and _plain(answer[name]) == _plain(asked[name]) for name in asked)
    return is_told and (case.get("hasVariant", True) or answer["variant"] in ("", "on", "off"))


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value), "boolean"
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return {name: _plain(each) for name, each in value.items()} if isinstance(value, dict) else value


def in_circles(definitions: Mapping[str, Definition]) -> set[str]:
    """The flags that need themselves by way of others, and those that need such flags."""
    unsettled = dict(definitions)
    while settled := [key for key, one in unsettled.items() if unsettled.keys().isdisjoint(one.prerequisites)]:
        for key in settled:
            del unsettled[key]
    return set(unsettled)


def outcomes(name: str) -> Iterator[tuple[str, Mapping[str, Any], Answer]]:
    """How each case of a suite ends: as expected, or the code of the reason; with the case and the engine's answer.

    Checks that the compiled flags answer as the engine does.
    """
    for file in suite(name)["files"]:
        definitions, _ = read_file(name, file["content"])
        refused = in_circles(definitions)
        definitions = {key: one for key, one in definitions.items() if key not in refused}
        compiled = DefinitionSet(definitions, b"", frozenset()).compiled_flags(NO_ORGANIZATION.states, "")
        for case in file["cases"]:
            if case["flag"] in file["leftOut"]:
                yield file["leftOut"][case["flag"]], case, {}
                continue
            if case["flag"] in refused:
                yield CIRCLE, case, {}
                continue
            if not isinstance(case["context"].get("targetingKey") or "", str):
                yield NO_TEXT, case, {}
                continue
            answer = by_engine(definitions, case["flag"], case["context"])
            assert by_compiled_flag(compiled, case["flag"], case["context"]) == answer, case
            yield AS_EXPECTED if fits(case, answer) else case.get("differs", UNLISTED), case, answer


def left_out(name: str) -> list[dict[str, str]]:
    """The flags of each file of a suite that the import leaves out, with the code of the reason."""
    readings = [read_file(name, file["content"])[1] for file in suite(name)["files"]]
    return [{each.flag: each.issue.value for each in found.remarks if not each.is_imported} for found in readings]


def figures(name: str) -> Counter[str]:
    """How many cases of a suite end in each way."""
    return Counter(outcome for outcome, _, _ in outcomes(name))
