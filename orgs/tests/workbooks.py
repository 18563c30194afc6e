"""Excel workbooks (.xlsx) for tests, written by hand: cells with texts, numbers, dates, errors and truth values."""

from __future__ import annotations

import datetime
import io
import zipfile
from collections.abc import Mapping, Sequence
from typing import Any
from xml.sax.saxutils import escape

MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006"
PARTS = {
    "[Content_Types].xml": f'<Types xmlns="{PACKAGE}/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/></Types>',
    "_rels/.rels": f'<Relationships xmlns="{PACKAGE}/relationships"><Relationship Id="rId1" '
    f'Type="{RELATIONS}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
    "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{RELATIONS}"><sheets>'
    '<sheet name="Organizations" sheetId="1" r:id="rId1"/></sheets></workbook>',
    "xl/_rels/workbook.xml.rels": f'<Relationships xmlns="{PACKAGE}/relationships">'
    f'<Relationship Id="rId2" Type="{RELATIONS}/styles" Target="styles.xml"/>'
    f'<Relationship Id="rId1" Type="{RELATIONS}/worksheet" Target="worksheets/sheet1.xml"/></Relationships>',
    "xl/styles.xml": f'<styleSheet xmlns="{MAIN}"><cellXfs count="2"><xf numFmtId="0"/>'
    '<xf numFmtId="14" applyNumberFormat="1"/></cellXfs></styleSheet>',
}
EPOCH = datetime.date(1899, 12, 30)


class ErrorCell:
    """A cell with the error #REF!."""


def workbook(*rows: Sequence[Any], at: Mapping[int, Sequence[Any]] | None = None, more: str = "") -> bytes:
    """A workbook whose first sheet has these rows from row 1 on; `at` has further rows by their number, `more` XML."""
    numbered = dict(enumerate(rows, start=1)) | dict(at or {})
    sheet = "".join(f'<row r="{number}">{_cells(number, numbered[number])}</row>' for number in sorted(numbered))
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in PARTS.items():
            archive.writestr(name, part)
        content = f'<worksheet xmlns="{MAIN}"><sheetData>{sheet}{more}</sheetData></worksheet>'
        archive.writestr("xl/worksheets/sheet1.xml", content)
    return file.getvalue()


def _cells(row: int, values: Sequence[Any]) -> str:
    return "".join(_cell(f"{chr(ord('A') + column)}{row}", value) for column, value in enumerate(values))


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, ErrorCell):
        return f'<c r="{name}" t="e"><v>#REF!</v></c>'
    if isinstance(value, bool):
        return f'<c r="{name}" t="b"><v>{int(value)}</v></c>'
    if isinstance(value, datetime.date):
        return f'<c r="{name}" s="1"><v>{(value - EPOCH).days}</v></c>'
    if isinstance(value, int | float):
        return f'<c r="{name}"><v>{value}</v></c>'
    return f'<c r="{name}" t="inlineStr"><is><t xml:space="preserve">{escape(value)}</t></is></c>'
