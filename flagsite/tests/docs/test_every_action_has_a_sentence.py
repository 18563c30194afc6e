"""Each action that the code records in the audit log has a sentence, and there is no sentence of any other action."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from django.conf import settings

from orgs.audit.sentences import SENTENCES

PACKAGES = ("flags", "flagsite", "jobs", "orgs")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for package in PACKAGES:
        for path in sorted((Path(settings.BASE_DIR) / package).rglob("*.py")):
            text = path.read_text()
            if "audit_log.record" in text and "tests" not in path.parts:
                yield path, ast.parse(text)


def is_recording(call: ast.Call) -> bool:
    function = call.func
    return (
        isinstance(function, ast.Attribute)
        and function.attr in {"record", "record_each"}
        and isinstance(function.value, ast.Name)
        and function.value.id == "audit_log"
    )


def calls(tree: ast.AST) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call))


def constants(expression: ast.expr) -> set[str]:
    """The texts that the expression can be: of a constant, or of each branch of a condition."""
    if isinstance(expression, ast.IfExp):
        return constants(expression.body) | constants(expression.orelse)
    return {expression.value} if isinstance(expression, ast.Constant) else set()


def recorded(tree: ast.Module) -> Iterator[set[str]]:
    """The actions of each call that records entries; empty if the action cannot be found."""
    functions = [node for node in ast.walk(tree) if isinstance(node, Function)]
    for call in filter(is_recording, calls(tree)):
        action = call.args[0]
        if not isinstance(action, ast.Name):
            yield constants(action)
            continue
        inside = next(one for one in functions if call in calls(one))
        names = [argument.arg for argument in inside.args.args]
        if action.id in names:
            place = names.index(action.id)
            callers = [one for one in calls(tree) if isinstance(one.func, ast.Name) and one.func.id == inside.name]
            yield {text for one in callers for text in constants(one.args[place])}
        else:
            assigned = [node for node in ast.walk(inside) if isinstance(node, ast.Assign)]
            values = [one.value for one in assigned if ast.unparse(one.targets[0]) == action.id]
            yield {text for value in values for text in constants(value)}


def test_every_action_has_a_sentence() -> None:
    found: set[str] = set()
    for path, tree in modules():
        for actions in recorded(tree):
            assert actions, f"{path} records an action that this test cannot read"
            found |= actions
    assert found == set(SENTENCES)
