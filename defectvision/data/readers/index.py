"""Reader of index.csv, the project's own layout."""

import csv
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path, PurePosixPath, PureWindowsPath

from defectvision.bundle.labels import SEPARATOR, spelled
from defectvision.data.catalog import (
    COLUMNS,
    INDEX_NAME,
    REQUIRED_COLUMNS,
    SPLITS,
    Catalog,
    CatalogError,
    LeftOut,
    catalog_table,
)
from defectvision.data.readers.found_images import FoundImages


class _RowError(ValueError):
    """A row that cannot be used: the reason and the remedy."""

    def __init__(self, reason: str, remedy: str):
        super().__init__(reason)
        self.reason, self.remedy = reason, remedy


def read_index(
    index: Path, root: Path | None = None, renamed: Mapping[str, str] | None = None
) -> Catalog:
    """Read an index beside its images: `path,label[,mask][,photo_group][,split]`, UTF-8. root: the
    folder of the images, where they are not beside it; renamed: columns that are called otherwise.

    Other columns are ignored. A row that cannot be used is left out and named by its line, and so
    is every row of an image of which such a row, or one that differs, says something too. Raises
    CatalogError for missing columns, for what is no CSV file, and where no row is left.
    """
    root = root or index.parent
    there, left_out = _There(root), []
    sound: dict[str, list[tuple[int, dict[str, str]]]] = {}
    spoilt: dict[str, int] = {}  # images that a row names which cannot be used, by its line

    def leave_out(line: int, reason: str, remedy: str) -> None:
        left_out.append((line, LeftOut(f"{index.name}, line {line}", reason, remedy)))

    for line, header, cells in _index_rows(index, renamed or {}):
        if not any(cells):
            continue  # as spreadsheets leave them
        try:
            row = _checked_row(header, cells, there)
        except _RowError as error:
            leave_out(line, error.reason, error.remedy)
            # A row of too many or too few cells may name its image in any of them.
            named = cells if len(cells) != len(header) else [cells[header.index("path")]]
            spoilt |= {image: line for cell in named if (image := there.meant(cell))}
        else:
            sound.setdefault(row["path"], []).append((line, row))
    kept: list[dict[str, str]] = []
    for path, rows in sound.items():
        (first, row), *others = rows
        if path in spoilt:
            reason = f"{path!r} stands in line {spoilt[path]} too, which cannot be used"
            for line, _ in rows:
                leave_out(line, reason, "Correct that line, or take it out.")
        elif any(other != row for _, other in others):
            lines = " and ".join(str(line) for line, _ in rows)
            reason = f"{path!r} stands in lines {lines}, which differ"
            for line, _ in rows:
                leave_out(line, reason, f"Keep one; several labels are joined by '{SEPARATOR}'.")
        else:
            kept.append(row)
            for line, _ in others:
                leave_out(line, f"{path!r} stands already in line {first}", "Take the row out.")
    left_out.sort(key=lambda one: one[0])
    if not kept:
        if not left_out:
            raise CatalogError(f"{index}: no rows. Name at least one image.")
        raise CatalogError(
            f"{index}: none of its {len(left_out)} rows can be used. The first: {left_out[0][1]}"
        )
    columns = {name: [row[name] for row in kept] for name in COLUMNS}
    catalog = checked_catalog(root, columns, index.name, ())
    return replace(catalog, left_out=tuple(one for _, one in left_out))


def _checked_row(header: list[str], cells: list[str], there: "_There") -> dict[str, str]:
    """Every column of COLUMNS, '' where the file lacks it; raises _RowError."""
    if len(cells) != len(header):
        raise _RowError(
            f"{len(cells)} values for {len(header)} columns",
            "Give each column one; quote values that contain a comma.",
        )
    given = dict(zip(header, cells, strict=True))
    if odd := [name for name in ("label", "photo_group") if _has_control(given.get(name, ""))]:
        raise _RowError(
            f"{odd[0]} {given[odd[0]][:40]!r} holds a line break or another control character",
            "Close the quote that it begins with: the rows behind it are part of it.",
        )
    row = {name: given.get(name, "") for name in COLUMNS}
    row["path"] = there.find(row["path"], "path")
    row["label"] = _checked_label(row["label"])
    row["photo_group"] = spelled(row["photo_group"])
    if row["mask"]:
        row["mask"] = there.find(row["mask"], "mask")
        if row["mask"] == row["path"]:  # of the same name, in a folder that is not there
            raise _RowError(
                f"mask {given['mask']!r} is the image itself, or missing",
                "Put the mask there, or leave the cell empty where nobody has drawn one.",
            )
    if row["split"] not in ("", *SPLITS):
        raise _RowError(
            f"unknown split {row['split']!r}", f"Use {', '.join(SPLITS)} or leave it empty."
        )
    return row


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

    @cached_property
    def _listed(self) -> FoundImages:
        return FoundImages(self.root)

    def find(self, name: str, column: str) -> str:
        """The path below the root of the file that `name` means: of another machine's absolute
        path, the one that agrees with its last parts.

        Raises _RowError for a name that leads out of the folder, for one that fits two files and
        where there is none.
        """
        parts = PurePosixPath(name.replace("\\", "/")).parts  # indexes written on Windows
        foreign = PurePosixPath(*parts).is_absolute() or PureWindowsPath(name).drive
        found = None
        if parts and ".." not in parts and not _has_control(name):
            posix = str(PurePosixPath(*parts))
            if not foreign and _is_file(self.root / posix):
                return posix
            try:
                found = self._listed.find(name) or (None if foreign else posix)
            except CatalogError as error:
                reason, _, remedy = str(error).removeprefix(f"{self.root}: ").partition(". ")
                raise _RowError(f"{column} {reason}", remedy) from error
        if found is None:
            raise _RowError(
                f"{column} {name!r} is not a file inside the folder",
                "Give paths relative to the index, without '..'.",
            )
        if not _is_file(self.root / found):
            raise _RowError(
                f"{column} {found!r} is missing, or no ordinary file",
                f"Paths are relative to {self.root}; put the file there or take the row out.",
            )
        return found

    def meant(self, name: str) -> str | None:
        """The image that a row which cannot be used may be of."""
        try:
            return self._listed.find(name)
        except CatalogError:
            return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # a name that is too long
        return False


def _index_rows(
    index: Path, renamed: Mapping[str, str]
) -> Iterator[tuple[int, list[str], list[str]]]:
    """(line in which the row begins, the names of the columns, the cells of the row)."""
    line = 0
    try:
        # utf-8-sig: spreadsheets write a byte order mark
        with index.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = [name.strip().lower() for name in next(reader, [])]
            header = [renamed.get(name, name) for name in header]
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
            line = reader.line_num
            for cells in reader:
                begun, line = line + 1, reader.line_num
                if cells:
                    yield begun, header, [cell.strip() for cell in cells]
    except UnicodeDecodeError as error:
        raise CatalogError(f"{index}: not UTF-8 ({error.reason}). Save it as UTF-8.") from error
    except csv.Error as error:
        raise CatalogError(
            f"{index}, line {line + 1}: not a row of a CSV file ({error}). Close the quote that "
            "begins there, or write a quote within a value twice."
        ) from error
    except OSError as error:
        raise CatalogError(f"{index}: cannot be read ({error.strerror}).") from error


def _has_control(text: str) -> bool:
    """Whether a terminal would obey a character of it; spaces of any script are letters here."""
    return any(unicodedata.category(character) in ("Cc", "Cs") for character in text)


def _checked_label(label: str) -> str:
    names = [spelled(name) for name in label.split(SEPARATOR)] if label else []
    if "" in names or len(set(names)) != len(names):
        raise _RowError(
            f"label {label!r} has an empty or a repeated part",
            f"Join different labels by '{SEPARATOR}'; leave the cell empty for a good image.",
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
