"""Class numbers of masks: `classes.csv` beside the images, `number,name` a line."""

import csv
from pathlib import Path

from defectvision.data.catalog import CatalogError


def read_class_numbers(root: Path) -> dict[int, str]:
    """Names by number, empty without a file; 0 is background. Raises CatalogError."""
    file = root / "classes.csv"
    if not file.is_file():
        return {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = [row for row in csv.reader(stream) if row]
        if rows and not rows[0][0].strip().isdigit():
            rows = rows[1:]  # a header
        return {int(row[0]): row[1].strip() for row in rows}
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, IndexError) as error:
        raise CatalogError(f"{file}: not lines of number,name ({error}).") from error
