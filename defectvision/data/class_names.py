"""Class numbers of masks: `classes.csv` beside the images, `number,name` a line."""

import csv
from pathlib import Path

from defectvision.bundle.labels import SEPARATOR, spelled
from defectvision.data.catalog import CatalogError


def read_class_numbers(root: Path) -> dict[int, str]:
    """Names by number, empty without a file; 0 is background, several numbers may have one name.

    Raises CatalogError for what is no line of a number and a name, and for a number of two names.
    """
    file = root / "classes.csv"
    if not file.is_file():
        return {}
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            rows = [row for row in csv.reader(stream) if any(row)]
        if rows and not rows[0][0].strip().isdigit():
            rows = rows[1:]  # a header
        pairs = [(int(row[0]), spelled(row[1])) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError, IndexError) as error:
        raise CatalogError(
            f"{file}: not lines of number,name ({error}). Write a number, a comma and a name a "
            "line, in UTF-8."
        ) from error
    names: dict[int, str] = {}
    for number, name in pairs:
        if number and (not name or SEPARATOR in name):
            raise CatalogError(
                f"{file}: {number} is called {name!r}, which is no name of a class. Give it one "
                f"without '{SEPARATOR}'."
            )
        if names.setdefault(number, name) != name and number:
            raise CatalogError(
                f"{file}: {number} is called {names[number]!r} and {name!r}, and which of them its "
                "pixels show is not known. Keep one."
            )
    return names
