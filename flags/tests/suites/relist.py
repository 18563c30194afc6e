"""Write anew what follows from the code: `bin/python --dev -m flags.tests.suites.relist`.

Run it after a change of an import. It writes `leftOut` into the files of the suites, takes `differs` away from cases
that are answered as expected now, and writes the figures into docs/suites.md. It prints the cases that are answered in
another way and are not listed. Whether that is a fault or on purpose, you decide: mend it, or list it with a code.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

LAYERS = 2
"""How deep the content of a file is written with a line for each member: its lists, and the flags in them."""


def compact(value: Any) -> str:
    """JSON on one line."""
    return json.dumps(value, ensure_ascii=False)


def written(content: Mapping[str, Any]) -> str:
    """The text of a suite's file: a line for each flag and for each case."""
    head = "".join(f"  {compact(name)}: {compact(value)},\n" for name, value in content.items() if name != "files")
    files = ",\n".join(_written_file(file) for file in content["files"])
    return f'{{\n{head}  "files": [\n{files}\n  ]\n}}\n'


def _written_file(file: Mapping[str, Any]) -> str:
    cases = ",\n".join(f"        {compact(case)}" for case in file["cases"])
    return (
        f'    {{\n      "content": {_spread(file["content"], LAYERS, 6)},\n'
        f'      "leftOut": {compact(file["leftOut"])},\n      "cases": [\n{cases}\n      ]\n    }}'
    )


def _spread(value: Any, layers: int, indent: int) -> str:
    """JSON with a line for each member of the outer objects and arrays."""
    if not layers or not value or not isinstance(value, dict | list):
        return compact(value)
    inner, outer = " " * (indent + 2), " " * indent
    if isinstance(value, dict):
        lines = [f"{inner}{compact(name)}: {_spread(each, layers - 1, indent + 2)}" for name, each in value.items()]
    else:
        lines = [f"{inner}{_spread(each, layers - 1, indent + 2)}" for each in value]
    first, last = "{}" if isinstance(value, dict) else "[]"
    return "\n".join([first, ",\n".join(lines), f"{outer}{last}"])


def main() -> int:
    """Write files and page, and print what is not listed. Returns 1 if there is any."""
    import django  # noqa: PLC0415 - settings first

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "flagsite.settings")
    django.setup()
    from flags.tests.suites import page, running  # noqa: PLC0415 - they need Django

    unlisted = 0
    for name in running.FLAG_SUITES:
        content = running.suite(name)
        for file, found in zip(content["files"], running.left_out(name), strict=True):
            file["leftOut"] = found
        for outcome, case, answer in running.outcomes(name):
            if outcome == running.AS_EXPECTED or not answer:
                case.pop("differs", None)
            elif outcome == running.UNLISTED:
                unlisted += 1
                print(compact(case), {asked: str(value) for asked, value in answer.items()})
        (running.FOLDER / f"{name}.json").write_text(written(content), encoding="utf-8")
    page.write_figures()
    return int(unlisted > 0)


if __name__ == "__main__":
    sys.exit(main())
