"""Results as an Excel workbook."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

import xlsxwriter

from defectvision.report.export import Cell

WIDEST = 40  # characters


def workbook(
    sheets: Mapping[str, tuple[Sequence[str], Iterable[Sequence[Cell]]]], made: datetime
) -> bytes:
    """An .xlsx file, made at that moment, of sheets by name, each its columns and rows; texts are
    never formulas or links, the first row stays in sight and filters."""
    out = io.BytesIO()
    plain = {
        "in_memory": True,
        "constant_memory": True,
        "strings_to_formulas": False,
        "strings_to_urls": False,
        "strings_to_numbers": False,
    }
    with xlsxwriter.Workbook(out, plain) as book:
        book.set_properties({"created": made.astimezone(UTC).replace(tzinfo=None)})
        bold = book.add_format({"bold": True})
        for name, (columns, rows) in sheets.items():
            sheet = book.add_worksheet(name)
            sheet.freeze_panes(1, 0)
            for place, column in enumerate(columns):
                sheet.set_column(place, place, min(WIDEST, max(10, len(column) + 2)))
            sheet.write_row(0, 0, columns, bold)
            last = 0
            for last, row in enumerate(rows, 1):
                sheet.write_row(last, 0, ["" if value is None else value for value in row])
            sheet.autofilter(0, 0, last, len(columns) - 1)
    return out.getvalue()
