"""Reader of index.csv, the project's own layout."""

import csv
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath, PureWindowsPath

from defectvision.bundle.labels import SEPARATOR
from defectvision.data.catalog import (
    COLUMNS,
    INDEX_NAME,
    REQUIRED_COLUMNS,
    SPLITS,
    Catalog,
    CatalogError,
    catalog_table,
)
from defectvision.data.readers.found_images import FoundImages


def read_index(index: Path) -> Catalog:
    """Read an index beside its images: `path,label[,mask][,photo_group][,split]`, UTF-8.

    Other columns are ignored. Raises CatalogError with the line number for missing columns,
    paths that leave the folder or stand twice, and unknown splits; and for missing files.
    """
    root = index.parent
    columns: dict[str, list[str]] = {name: [] for name in COLUMNS}
    first_line: dict[str, int] = {}
    missing: list[str] = []
    there = _There(root)
    for line, row in _index_rows(index):
        where = f"{index}, line {line}"
        row["path"] = there.find(row["path"], where, "path")
        row["label"] = _checked_label(row["label"], where)
        if row["mask"]:
            row["mask"] = there.find(row["mask"], where, "mask")
        if row["split"] not in ("", *SPLITS):
            raise CatalogError(
                f"{where}: unknown split {row['split']!r}. Use {', '.join(SPLITS)} or leave it "
                "empty."
            )
        if row["path"] in first_line:
            raise CatalogError(
                f"{where}: {row['path']!r} stands already in line {first_line[row['path']]}. "
                f"Keep one row; several labels are joined by '{SEPARATOR}'."
            )
        first_line[row["path"]] = line
        missing += [
            f"{row[name]} (line {line})"
            for name in ("path", "mask")
            if row[name] and not _is_file(root / row[name])
        ]
        for name in COLUMNS:
            columns[name].append(row[name])
    if missing:
        raise CatalogError(
            f"{index}: {len(missing)} files are missing: {examples(missing)}. Paths are "
            f"relative to {root}; put the files there or take the rows out."
        )
    if not first_line:
        raise CatalogError(f"{index}: no rows. Name at least one image.")
    return checked_catalog(root, columns, index.name, ())


def find_index(folder: Path) -> Path | None:
    """The folder's index, however the case of its name. Raises CatalogError where it has two."""
    try:
        found = sorted(f for f in folder.iterdir() if f.name.casefold() == INDEX_NAME)
    except OSError as error:
        raise CatalogError(f"{folder}: cannot be read ({error.strerror}).") from error
    if len(found) > 1:
        raise CatalogError(
            f"{folder}: has {found[0].name} and {found[1].name}, and which holds is not known. "
            "Move one away."
        )
    return found[0] if found and found[0].is_file() else None


class _There:
    """The files of a set by the names of its index; the folder is only listed where one differs."""

    def __init__(self, root: Path):
        self.root = root
        self._listed: FoundImages | None = None

    def find(self, name: str, where: str, column: str) -> str:
        """The path below the root of the file that `name` means: of another machine's absolute
        path, the one that agrees with its last parts. `name` where there is none.

        Raises CatalogError, which begins with `where`, for a name that leads out of the folder and
        for one that fits two files.
        """
        parts = PurePosixPath(name.replace("\\", "/")).parts  # indexes written on Windows
        foreign = PurePosixPath(*parts).is_absolute() or PureWindowsPath(name).drive
        found = None
        if parts and ".." not in parts and not _has_control(name):
            posix = str(PurePosixPath(*parts))
            if not foreign and _is_file(self.root / posix):
                return posix
            self._listed = self._listed or FoundImages(self.root)
            found = self._listed.find(name) or (None if foreign else posix)
        if found is None:
            raise CatalogError(
                f"{where}: {column} {name!r} is not a file inside the folder. "
                "Give paths relative to the index, without '..'."
            )
        return found


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _index_rows(index: Path) -> Iterator[tuple[int, dict[str, str]]]:
    """(line number, row) with every column of COLUMNS, '' where the file lacks it."""
    try:
        # utf-8-sig: spreadsheets write a byte order mark
        with index.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip().lower() for name in next(reader, [])]
            lacking = [name for name in REQUIRED_COLUMNS if name not in header]
            if lacking:
                raise CatalogError(
                    f"{index}, line 1: column {' and '.join(lacking)} missing among "
                    f"{', '.join(header) or 'none'}. The first line names comma-separated "
                    f"columns: path,label[,mask][,photo_group][,split]."
                )
            if twice := {name for name in header if name in COLUMNS and header.count(name) > 1}:
                raise CatalogError(
                    f"{index}, line 1: column {', '.join(sorted(twice))} stands twice. Keep one."
                )
            for cells in reader:
                if not cells:
                    continue
                if len(cells) != len(header):
                    raise CatalogError(
                        f"{index}, line {reader.line_num}: {len(cells)} values for "
                        f"{len(header)} columns. Quote values that contain a comma."
                    )
                given = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
                yield reader.line_num, {name: given.get(name, "") for name in COLUMNS}
    except UnicodeDecodeError as error:
        raise CatalogError(f"{index}: not UTF-8 ({error.reason}). Save it as UTF-8.") from error
    except csv.Error as error:
        raise CatalogError(f"{index}: not a CSV file ({error}). Write it anew.") from error
    except OSError as error:
        raise CatalogError(f"{index}: cannot be read ({error.strerror}).") from error


def _has_control(text: str) -> bool:
    """Whether a terminal would obey a character of it; spaces of any script are letters here."""
    return any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def _checked_label(label: str, where: str) -> str:
    names = [name.strip() for name in label.split(SEPARATOR)] if label else []
    if "" in names or len(set(names)) != len(names):
        raise CatalogError(
            f"{where}: label {label!r} has an empty or a repeated part. Join different labels by "
            f"'{SEPARATOR}'; leave the cell empty for a good image."
        )
    return SEPARATOR.join(names)


def checked_catalog(
    root: Path,
    columns: dict[str, list[str]],
    layout: str,
    warnings: Iterable[str],
    groups_differ: bool = False,
) -> Catalog:
    """A catalog with a warning for what can be used but misleads."""
    catalog = Catalog(
        root,
        catalog_table(columns),
        root.resolve().name,
        layout=layout,
        groups_differ=groups_differ,
    )
    found = list(warnings)
    if clashing := catalog.contradictions()["photo_group"].unique().tolist():
        found.append(
            f"photo groups hold images with different labels ({examples(clashing)}): of two labels "
            "of one picture one is wrong, other views of one part may rightly differ."
        )
    labels = set(columns["label"])
    if len(labels) == 1:
        shown = labels.pop() or "good, no label"
        found.append(f"only one class ({shown}): nothing to tell apart. Add images of another.")
    by_case: dict[str, list[str]] = {}
    for name in catalog.classes:
        by_case.setdefault(name.casefold(), []).append(name)
    for names in by_case.values():
        if len(names) > 1:
            found.append(f"classes {', '.join(names)} differ only in case and count as different.")
    return replace(catalog, warnings=tuple(found))


def examples(items: list[str], shown: int = 3) -> str:
    """The first few of a list, for a message."""
    return ", ".join(items[:shown]) + (", ..." if len(items) > shown else "")
