"""Every regular expression of the product: found in its source, and by looking at what its modules hold."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.core.validators import RegexValidator
from django.urls import get_resolver

ROOT = Path(__file__).resolve().parents[3]
APPS = ("flagsite", "flags", "jobs", "orgs")
MODULE_FUNCTIONS = {"compile", "match", "fullmatch", "search", "sub", "split", "findall", "finditer"}
SETTINGS_READERS = {"matching": 1, "comma_separated": 1}
"""Functions of flagsite/environment.py, and which of their arguments is an expression."""
ANYWHERE = re.compile(r"\.(search|sub|split|findall|finditer)\(")
PASSED_ON = {("flagsite/environment.py", "pattern")}
"""Arguments whose values are found where the function is called."""


@dataclass(frozen=True)
class Expression:
    """A regular expression, and whether the product looks for it anywhere in a text."""

    where: str
    pattern: str | bytes
    flags: int
    is_searched: bool


def product_files() -> Iterator[Path]:
    for app in APPS:
        for path in sorted((ROOT / app).rglob("*.py")):
            if "tests" not in path.parts and "migrations" not in path.parts:
                yield path


def expressions() -> list[Expression]:
    """All of them. Fails for one in the source whose text cannot be found."""
    found = [one for path in product_files() for one in _in_source(path)]
    found += [_of(f"urls {pattern}", pattern, is_searched=True) for pattern in _url_patterns(get_resolver())]
    return found


def _in_source(path: Path) -> Iterator[Expression]:
    source = path.read_text()
    if not re.search(r"\bre\.|RegexValidator|environment\.", source):
        return
    name = str(path.relative_to(ROOT))
    is_searched = bool(ANYWHERE.search(source))
    for call in ast.walk(ast.parse(source)):
        argument = _expression_argument(call)
        if argument is None or (name, ast.unparse(argument)) in PASSED_ON:
            continue
        value = _value(argument, path)
        yield _of(f"{name}:{argument.lineno}", value, is_searched=is_searched)


def _expression_argument(call: ast.AST) -> ast.expr | None:
    if not isinstance(call, ast.Call) or not call.args:
        return None
    function = call.func
    if isinstance(function, ast.Name):
        return call.args[0] if function.id == "RegexValidator" else None
    if not isinstance(function, ast.Attribute) or not isinstance(function.value, ast.Name):
        return None
    if function.value.id == "re" and function.attr in MODULE_FUNCTIONS:
        return call.args[0]
    if function.value.id == "environment" and function.attr in SETTINGS_READERS:
        return call.args[SETTINGS_READERS[function.attr]]
    return None


def _value(argument: ast.expr, path: Path) -> Any:
    if isinstance(argument, ast.Constant):
        return argument.value
    module = importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return eval(compile(ast.Expression(argument), str(path), "eval"), vars(module))


def _of(where: str, value: Any, *, is_searched: bool) -> Expression:
    if isinstance(value, RegexValidator):
        value = value.regex
    compiled = value if isinstance(value, re.Pattern) else re.compile(value)
    return Expression(where, compiled.pattern, compiled.flags, is_searched)


def _url_patterns(resolver: Any) -> Iterator[re.Pattern[str]]:
    for pattern in resolver.url_patterns:
        regex = pattern.pattern.regex
        yield regex if isinstance(regex, re.Pattern) else re.compile(regex)
        if hasattr(pattern, "url_patterns"):
            yield from _url_patterns(pattern)
