"""The line that a labelled set makes, or the one that it belongs to."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import ValidationError

from defectvision import roots
from defectvision.bundle.labels import DEVIATION, SEPARATOR, UNNAMED_GOOD, is_good_name
from defectvision.bundle.line import DEFECT_COLOURS, GOOD_COLOUR, DefectClass, Line
from defectvision.bundle.reader import read_line
from defectvision.bundle.schema import LINE_FILE
from defectvision.data.catalog import Catalog, CatalogError
from defectvision.limits import SMALL_FILE


def good_parts_line_for(
    catalog: Catalog, folder: Path, bundle_name: str, bits: int | None = None
) -> Line:
    """The line in `folder` as far as it knows good parts and deviations, or a new one; raises
    CatalogError where the line in `folder` is another kind of line."""
    if (folder / LINE_FILE).is_file():
        line = read_line(folder)
        known = line.of_classes((*line.good_names, DEVIATION))
        if known is None:
            raise CatalogError(
                f"{catalog.root}: line '{line.name}' has {', '.join(line.class_names)}, so it is "
                "not a line from good parts. Choose another line name with --line"
            )
        return known
    classes = (
        DefectClass(name=UNNAMED_GOOD, title="Good", kind="ok", colour=GOOD_COLOUR),
        DefectClass(name=DEVIATION, title="Deviation", kind="defect", colour=DEFECT_COLOURS[0]),
    )
    return _new_line(folder.name, classes, bundle_name, bits)


def named_parts_line_for(
    catalog: Catalog, folder: Path, bundle_name: str, bits: int | None = None
) -> Line:
    """The line in `folder`, or a new one, that knows good parts, the catalog's defects by name, and
    deviations; raises CatalogError where no defect has a name, and where the line in `folder`, or
    the one that the set tells, cannot know them."""
    named = [n for n in catalog.classes if not is_good_name(n) and n != DEVIATION]
    if not named:
        raise CatalogError(
            f"{catalog.root}: no image shows a defect with a name, and the recipe learns names. "
            "Name those of some, or take `names` out of the recipe"
        )
    told = _told_names(catalog, folder.name, bundle_name, bits, named)
    if not (folder / LINE_FILE).is_file():
        return told
    return _joined(read_line(folder), told, catalog)


def _told_names(
    catalog: Catalog, name: str, bundle_name: str, bits: int | None, named: list[str]
) -> Line:
    """A line of the named defects as the set's own line.json tells it, or as names alone do."""
    if (catalog.root / LINE_FILE).is_file():
        line = _line_told(catalog, name, bundle_name, bits, spared=DEVIATION)
        if not line.deviates or set(line.defect_names) != {*named, DEVIATION}:
            raise CatalogError(
                f"{catalog.root / LINE_FILE}: names {', '.join(line.class_names)}. To learn names "
                "beside what is remembered, a line names one label an image: one good class, first,"
                f" and among the defects '{DEVIATION}', for those of no known kind"
            )
        return line
    colours = [DEFECT_COLOURS[i % len(DEFECT_COLOURS)] for i in range(1 + len(named))]
    classes = (
        DefectClass(name=UNNAMED_GOOD, title="Good", kind="ok", colour=GOOD_COLOUR),
        *(
            DefectClass(name=name, title=_title(name), kind="defect", colour=colour)
            for name, colour in zip(named, colours[1:], strict=True)
        ),
        DefectClass(name=DEVIATION, title="Deviation", kind="defect", colour=colours[0]),
    )
    return _new_line(name, classes, bundle_name, bits)


def _joined(here: Line, told: Line, catalog: Catalog) -> Line:
    """The line that there is with what a set tells that it is to name, and nothing else; raises
    CatalogError where it cannot come to name that."""
    defects = [one for one in told.classes if one.kind == "defect"]
    goods = [one for one in here.classes if one.kind == "ok"]
    told = told.model_copy(update={"classes": (*goods, *defects), "bits": here.bits})
    joined = here.joined(told)
    line = joined and joined.of_classes(told.class_names)
    if line is None:
        raise CatalogError(
            f"{catalog.root}: has the defects {', '.join(told.defect_names)}, but line "
            f"'{here.name}' has {', '.join(here.class_names)}. Only a line with a good class and "
            f"'{DEVIATION}' comes to name more, since results and policies name what a line tells "
            "apart: choose another line name with --line"
        )
    return line


def line_for(catalog: Catalog, folder: Path, bundle_name: str, bits: int | None = None) -> Line:
    """The line in `folder`, or a new one with the catalog's classes, the good ones first.

    A set that says what line it teaches, by a line.json beside its images, makes that one, and a
    line in `folder` that knows deviations comes to name what it tells besides. Else a set in which
    an image has several labels makes a multilabel line: its classes are the defects, and an image
    without one is good. bits: of the camera's samples, see `Line`. Raises CatalogError where the
    line in `folder`, or the one that the set tells, is of other classes or bits.
    """
    if (folder / LINE_FILE).is_file():
        line = read_line(folder)
        if line.deviates and (catalog.root / LINE_FILE).is_file():
            return _joined(line, _line_told(catalog, line.name, bundle_name, bits), catalog)
        known, given = set(line.class_names), set(catalog.classes)
        unknown = sorted(name for name in given - known if not is_good_name(name))
        missing = sorted(name for name in known - given if not is_good_name(name))
        if unknown or missing:
            raise CatalogError(
                f"{catalog.root}: has classes {', '.join(catalog.classes)}, but line "
                f"'{line.name}' has {', '.join(line.class_names)}. Choose another line name with "
                "--line"
            )
        if bits is not None and bits != line.bits:
            raise CatalogError(
                f"{folder / 'line.json'}: line '{line.name}' says "
                f"{'nothing of its bits' if line.bits is None else f'{line.bits} bits'}, and the "
                f"images were opened with {bits}. Correct `bits` there, or leave --bits out"
            )
        return line
    if (catalog.root / LINE_FILE).is_file():
        return _line_told(catalog, folder.name, bundle_name, bits)
    multilabel = catalog.table["label"].str.contains(SEPARATOR, regex=False).any()
    names = list(catalog.classes)
    good = [name for name in names if is_good_name(name)]
    defects = [name for name in names if name not in good]
    if multilabel:
        good = []
    elif catalog.good_count and not good:
        good = [UNNAMED_GOOD]
    if len(good) + len(defects) < (1 if multilabel else 2):
        raise CatalogError(
            f"{catalog.root}: has only the class {', '.join(names) or '(none)'}; "
            "a line needs two or more. Add a folder of images of another class"
        )
    colours = [GOOD_COLOUR] * len(good) + [
        DEFECT_COLOURS[i % len(DEFECT_COLOURS)] for i in range(len(defects))
    ]
    classes = tuple(
        DefectClass(name=n, title=_title(n), kind="ok" if n in good else "defect", colour=c)
        for n, c in zip([*good, *defects], colours, strict=True)
    )
    return _new_line(
        folder.name, classes, bundle_name, bits, "multilabel" if multilabel else "multiclass"
    )


def _new_line(
    name: str,
    classes: tuple[DefectClass, ...],
    bundle_name: str,
    bits: int | None,
    label_mode: Literal["multiclass", "multilabel"] = "multiclass",
) -> Line:
    return Line(
        name=name,
        title=_title(name),
        classes=classes,
        label_mode=label_mode,
        default_bundle=bundle_name,
        bits=bits,
    )


def _line_told(
    catalog: Catalog, name: str, bundle_name: str, bits: int | None, spared: str = ""
) -> Line:
    """The line of the set's own line.json, under another name. spared: a class that no image need
    show."""
    file = catalog.root / LINE_FILE
    try:
        told = Line.model_validate_json(roots.content(file, SMALL_FILE))
    except (OSError, ValidationError) as error:
        raise CatalogError(
            f"{file}: tells no line that can be read ({error}). Correct it, or take it away"
        ) from error
    if unknown := [n for n in catalog.classes if n not in told.class_names]:
        raise CatalogError(
            f"{file}: has no class '{unknown[0]}', which images of the set are "
            "labelled with. Add it there, or take the file away"
        )
    missing = [n for n in told.defect_names if n not in catalog.classes and n != spared]
    if missing:
        raise CatalogError(
            f"{catalog.root}: no image shows {', '.join(missing)}, which the line is to name. "
            "Label some, or take the class out of the set"
        )
    changed = {"name": name, "default_bundle": bundle_name, "bits": bits or told.bits}
    return told.model_copy(update=changed)


def _title(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").strip().capitalize()
