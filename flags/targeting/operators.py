"""The operators of clauses: how each compares the value of an attribute with the values of the clause.

No operator converts a value: the text "12" is not the number 12, and true is not 1.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from operator import eq, ge, gt, le, lt
from typing import Any

import re2

from flags.targeting.versions import version_of

LONGEST_PATTERN = 256
MOST_BYTES = 1 << 20
"""The memory of one compiled pattern."""
LONGEST_ADDRESS = 64
MOST_READ = 1024
"""How many texts of attributes are kept with what they mean: the rules of many flags ask for the same attribute."""
Test = Callable[[Any], bool]
"""Says whether the value of an attribute, which is neither None nor an array, matches."""


class WrongValue(ValueError):
    """A value that an operator cannot compare with. The message says what it has to be."""


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator. `prepare` takes the values of a clause and `ignoreCase`; it returns the test, or raises WrongValue.

    The tests run for each evaluation, so they are prepared for the values that they compare with.
    """

    name: str
    prepare: Callable[[Sequence[Any], bool], Test]
    takes: str
    """The values in words."""
    takes_case: bool = False
    """Whether a clause may say `ignoreCase`."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _texts(values: Sequence[Any], ignore_case: bool) -> tuple[str, ...]:
    if not all(isinstance(value, str) for value in values):
        raise WrongValue("a text")
    return tuple(value.casefold() if ignore_case else value for value in values)


def _in(values: Sequence[Any], ignore_case: bool) -> Test:
    if not all(isinstance(value, str | bool) or _is_number(value) for value in values):
        raise WrongValue("a text, a number, true or false")
    texts = frozenset(_texts([value for value in values if isinstance(value, str)], ignore_case))
    if not ignore_case and all(isinstance(value, str) for value in values):
        return lambda value: type(value) is str and value in texts
    numbers = frozenset(value for value in values if _is_number(value))
    booleans = frozenset(value for value in values if isinstance(value, bool))

    def test(value: Any) -> bool:
        if type(value) is str:
            return (value.casefold() if ignore_case else value) in texts
        if type(value) is bool:
            return value in booleans
        return _is_number(value) and value in numbers

    return test


def _text(compare: Callable[[str, tuple[str, ...]], bool], values: Sequence[Any], ignore_case: bool) -> Test:
    texts = _texts(values, ignore_case)
    if ignore_case:
        return lambda value: isinstance(value, str) and compare(value.casefold(), texts)
    return lambda value: isinstance(value, str) and compare(value, texts)


def _contains(value: str, texts: tuple[str, ...]) -> bool:
    return any(text in value for text in texts)


Compare = Callable[[Any, Any], bool]


def _number(compare: Compare, widest: Callable[[Sequence[Any]], Any], values: Sequence[Any], _: bool) -> Test:
    """Compare numbers. `widest` picks the value that matches wherever one of them does."""
    if not values or not all(_is_number(value) for value in values):
        raise WrongValue("a number")
    limit = widest(values)
    return lambda value: type(value) in (int, float) and compare(value, limit)


def _read(read: Callable[[Any], Any], what: str, compare: Compare, values: Sequence[Any], _: bool) -> Test:
    """Compare what `read` makes of both values; it returns None for a value that it cannot read."""
    known = [read(value) for value in values]
    if None in known:
        raise WrongValue(what)

    if len(known) == 1:
        (one,) = known

        def test_one(value: Any) -> bool:
            found = read(value)
            return found is not None and compare(found, one)

        return test_one

    def test(value: Any) -> bool:
        found = read(value)
        return found is not None and any(compare(found, each) for each in known)

    return test


def time_of(value: object) -> datetime | None:
    """Return the time in a text of RFC 3339; None if the value is not one, or has no zone.

    Python code may also give a `datetime`.
    """
    if isinstance(value, datetime):
        return value if value.tzinfo else None
    if not isinstance(value, str) or len(value) < len("2026-11-30T12:00Z") or value[10] not in "Tt ":
        return None
    try:
        found = datetime.fromisoformat(value.upper())
    except ValueError:
        return None
    return found if found.tzinfo else None


Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def network_of(value: object) -> Network | None:
    """Return the network in a text such as "10.0.0.0/8". An address is a network of one; None for anything else."""
    return _network_in(value) if isinstance(value, str) and len(value) <= LONGEST_ADDRESS else None


@lru_cache(maxsize=MOST_READ)
def _network_in(value: str) -> Network | None:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return None
    mapped = network.network_address.ipv4_mapped if network.version == 6 else None  # noqa: PLR2004 - IPv6
    if mapped is None or network.prefixlen < 96:  # noqa: PLR2004 - the bits before the IPv4 address
        return network
    return ipaddress.ip_network(f"{mapped}/{network.prefixlen - 96}", strict=False)


def _in_cidr(values: Sequence[Any], _: bool) -> Test:
    networks = [network_of(value) for value in values]
    if None in networks:
        raise WrongValue('an IP address or a network such as "10.0.0.0/8"')

    def test(value: Any) -> bool:
        address = network_of(value) if isinstance(value, str) and "/" not in value else None
        return address is not None and any(address.network_address in network for network in networks if network)

    return test


def _matches(values: Sequence[Any], ignore_case: bool) -> Test:
    options = re2.Options()
    options.log_errors = False
    options.case_sensitive = not ignore_case
    options.max_mem = MOST_BYTES
    patterns = []
    for value in values:
        if not isinstance(value, str) or len(value) > LONGEST_PATTERN:
            raise WrongValue(f"a regular expression of RE2 with at most {LONGEST_PATTERN} characters")
        try:
            patterns.append(re2.compile(value, options=options))
        except (re2.error, UnicodeError) as error:
            raise WrongValue(f"a regular expression of RE2 ({_reason(error)})") from error
    searches = [pattern.search for pattern in patterns]
    return lambda value: _is_searchable(value) and any(search(value) is not None for search in searches)


def _reason(error: Exception) -> str:
    found = error.args[0] if error.args else ""
    return found.decode(errors="replace") if isinstance(found, bytes) else str(found)


def _is_searchable(value: Any) -> bool:
    """RE2 searches in UTF-8, which has no halves of characters."""
    if not isinstance(value, str):
        return False
    if value.isascii():
        return True
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _exists(values: Sequence[Any], _: bool) -> Test:
    if values:
        raise WrongValue("nothing: the operator takes no values")
    return lambda value: True


TIME = "a time with a zone, such as 2026-11-30T12:00:00Z"
NO_VALUES = "no values"
SEMVER = "a version such as 1.4.2"
OPERATORS: Mapping[str, Operator] = {
    operator.name: operator
    for operator in (
        Operator("in", _in, "texts, numbers, true or false", takes_case=True),
        Operator("startsWith", partial(_text, str.startswith), "texts", takes_case=True),
        Operator("endsWith", partial(_text, str.endswith), "texts", takes_case=True),
        Operator("contains", partial(_text, _contains), "texts", takes_case=True),
        Operator("matches", _matches, "regular expressions of RE2, found anywhere in the text", takes_case=True),
        Operator("lt", partial(_number, lt, max), "numbers"),
        Operator("lte", partial(_number, le, max), "numbers"),
        Operator("gt", partial(_number, gt, min), "numbers"),
        Operator("gte", partial(_number, ge, min), "numbers"),
        Operator("before", partial(_read, time_of, TIME, lt), "times with a zone"),
        Operator("after", partial(_read, time_of, TIME, gt), "times with a zone"),
        Operator("semverEq", partial(_read, version_of, SEMVER, eq), "versions"),
        Operator("semverLt", partial(_read, version_of, SEMVER, lt), "versions"),
        Operator("semverLte", partial(_read, version_of, SEMVER, le), "versions"),
        Operator("semverGt", partial(_read, version_of, SEMVER, gt), "versions"),
        Operator("semverGte", partial(_read, version_of, SEMVER, ge), "versions"),
        Operator("inCidr", _in_cidr, "IP addresses and networks"),
        Operator("exists", _exists, NO_VALUES),
    )
}
"""The operators that compare an attribute, by their names."""
