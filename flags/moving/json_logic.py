"""Clauses and segments as JSON Logic, with the operators that flagd adds to it.

JSON Logic converts values, and its implementations do so differently. So each test here asks for the type first: the
text "12" is not the number 12, and true is not 1, as in Flagsite. What JSON Logic cannot say raises NoEqual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from flags.moving.issues import Issue, NoEqual
from flags.targeting.attributes import TARGETING_KEY
from flags.targeting.places import Place
from flags.targeting.rules import IN_SEGMENT, Clause, EvaluatedSegment

Logic = bool | dict[str, Any]
"""An expression; true and false where the organization alone decides."""
USER: dict[str, Any] = {"var": TARGETING_KEY}
ELEMENT: dict[str, Any] = {"var": ""}
"""The element of an array, in `some`."""
BOOLEANS_AS_TEXTS = ["true", "false", "True", "False"]
"""What implementations make of true and false as a text."""
COMPARISONS = {"lt": "<", "lte": "<=", "gt": ">", "gte": ">="}
VERSIONS = {"semverEq": "=", "semverLt": "<", "semverLte": "<=", "semverGt": ">", "semverGte": ">="}
NOT_SAID = {"matches": Issue.REGULAR_EXPRESSION, "before": Issue.TIME, "after": Issue.TIME, "inCidr": Issue.NETWORK}
"""The operators that neither JSON Logic nor flagd has."""


def both(parts: Iterable[Logic]) -> Logic:
    """Return the expression that all parts are true."""
    left = [part for part in parts if part is not True]
    if any(part is False for part in left):
        return False
    return {"and": left} if len(left) > 1 else left[0] if left else True


def either(parts: Iterable[Logic]) -> Logic:
    """Return the expression that one of the parts is true."""
    left = [part for part in parts if part is not False]
    if any(part is True for part in left):
        return True
    return {"or": left} if len(left) > 1 else left[0] if left else False


def opposite(part: Logic) -> Logic:
    """Return the expression that a part is not true."""
    return (not part) if isinstance(part, bool) else {"!": [part]}


def has_user() -> Logic:
    """Return the expression that there is a targeting key."""
    return both([_is_text(USER), {"!==": [USER, ""]}])


def one_of(texts: Sequence[str]) -> Logic:
    """Return the expression that the targeting key is one of the texts."""
    return {"in": [USER, list(texts)]} if texts else False


def clause(asked: Clause, place: Place) -> Logic:
    """Return a clause as an expression. Raises NoEqual.

    Args:
        asked: the clause.
        place: the organization of the export. What only depends on it becomes true or false.
    """
    if asked.why_never:
        return False
    if not asked.depends_on_user:
        return asked.test({}, "", place)
    if asked.op == IN_SEGMENT:
        found = either(segment(each, place) for each in asked.segments)
        return opposite(found) if asked.negate else found
    if asked.attribute == TARGETING_KEY:
        return _negated(asked, has_user(), True if asked.op == "exists" else _test_of(asked)(USER))
    if "." in asked.attribute or asked.attribute.startswith("$") or not asked.attribute:
        raise NoEqual(Issue.ATTRIBUTE_NAME, f"The name of the attribute {asked.attribute!r} is a path in flagd.")
    value = {"var": asked.attribute}
    exists: Logic = {"!==": [value, None]}
    if asked.op == "exists":
        return opposite(exists) if asked.negate else exists
    test = _test_of(asked)
    return _negated(asked, exists, either([test(value), {"some": [value, test(ELEMENT)]}]))


def segment(asked: EvaluatedSegment, place: Place) -> Logic:
    """Return who is in a segment as an expression. Raises NoEqual."""
    rules = either(both(clause(each, place) for each in rule.clauses) for rule in asked.rules)
    return either([one_of(asked.included), both([opposite(one_of(asked.excluded)), rules])])


def _negated(asked: Clause, exists: Logic, matches: Logic) -> Logic:
    """A missing attribute matches nothing, also with `negate`. Only `exists` asks for absence."""
    if asked.op == "exists":
        return opposite(exists) if asked.negate else exists
    return both([exists, opposite(matches)]) if asked.negate else matches


def _test_of(asked: Clause) -> Callable[[dict[str, Any]], Logic]:
    """Return the function that makes the expression about a value, which may be any but an array or null."""
    if asked.ignore_case:
        raise NoEqual(Issue.IGNORE_CASE, "flagd cannot ignore the case of texts.")
    if asked.op in NOT_SAID:
        raise NoEqual(NOT_SAID[asked.op], f"flagd has no operator such as {asked.op!r}.")
    values = asked.values
    if asked.op == "in":
        return lambda value: _is_one_of(value, values)
    if asked.op in COMPARISONS:
        return lambda value: both(
            [_is_number(value), either({COMPARISONS[asked.op]: [value, limit]} for limit in values)]
        )
    if asked.op in VERSIONS:
        sign = VERSIONS[asked.op]
        return lambda value: both(
            [_is_text(value), either({"sem_ver": [value, sign, _whole(other)]} for other in values)]
        )
    if asked.op in ("startsWith", "endsWith"):
        name = {"startsWith": "starts_with", "endsWith": "ends_with"}[asked.op]
        return lambda value: both([_is_text(value), either({name: [value, text]} for text in values)])
    if asked.op == "contains":
        return lambda value: both([_is_text(value), either({"in": [text, value]} for text in values)])
    raise NoEqual(Issue.OPERATOR, f"flagd has no operator such as {asked.op!r}.")


def _is_one_of(value: dict[str, Any], values: Sequence[Any]) -> Logic:
    texts = [each for each in values if isinstance(each, str)]
    numbers = [each for each in values if not isinstance(each, str | bool)]
    booleans = [each for each in values if isinstance(each, bool)]
    parts: list[Logic] = []
    if texts:
        parts.append({"in": [value, texts]})
    if numbers:
        parts.append(both([_is_number(value), either({"===": [value, each]} for each in numbers)]))
    if booleans:
        parts.append(both([_is_boolean(value), either({"===": [value, each]} for each in booleans)]))
    return either(parts)


def _whole(version: str) -> str:
    """Return a version with its three numbers, as the schema of flagd wants it."""
    plain = version.removeprefix("v").removeprefix("V")
    numbers = plain.partition("-")[0].partition("+")[0]
    return numbers + ".0" * (2 - numbers.count(".")) + plain[len(numbers) :]


def _is_text(value: dict[str, Any]) -> Logic:
    """Only a text is the same after it was made a text."""
    return {"===": [{"cat": [value]}, value]}


def _is_number(value: dict[str, Any]) -> Logic:
    """Only a number is the same after it was made a number, except for true and false in some implementations."""
    return both([{"===": [{"+": [value]}, value]}, opposite({"in": [{"cat": [value]}, BOOLEANS_AS_TEXTS]})])


def _is_boolean(value: dict[str, Any]) -> Logic:
    return both([{"in": [{"cat": [value]}, BOOLEANS_AS_TEXTS]}, opposite(_is_text(value))])
