"""The name of a new line, made from the title that somebody gives it."""

from __future__ import annotations

import re
import unicodedata
from itertools import count
from pathlib import Path

from defectvision.atomic import check_folder
from defectvision.bundle.line import NAME, Line
from defectvision.bundle.reader import BundleError, read_line
from defectvision.bundle.schema import LINE_FILE

LONGEST_TITLE = 80  # characters
LONGEST = 64  # characters, of NAME
# Letters that have no accent to take away.
_WRITTEN = str.maketrans({"ß": "ss", "ø": "o", "æ": "ae", "œ": "oe", "ł": "l", "đ": "d", "ð": "d"})


def line_name(title: str) -> str:
    """ "Pump housings, left" as "pump-housings-left"; empty where no letter of it can be kept."""
    spelled = unicodedata.normalize("NFKD", title.casefold().translate(_WRITTEN))
    kept = "".join(c for c in spelled if not unicodedata.combining(c))
    return re.sub(r"[^a-z0-9_.]+", "-", kept).strip("-_.")[:LONGEST].rstrip("-_.")


def refusal(title: str, weights: Path) -> str:
    """Why no line can be made of that title, and what to do; empty where one can."""
    name = line_name(title)
    if not title.strip():
        return "Give the line a title."
    if not NAME.fullmatch(name):
        return (
            f"No name can be made of the title '{title}': a line is named in the letters a to z "
            "and digits. Give it a title with some of them."
        )
    if (weights / name / LINE_FILE).is_file():
        try:
            line = read_line(weights / name)
        except BundleError as error:
            return str(error)
        if not line.deviates:
            classes = ", ".join(line.class_names)
            return (
                f"There is a line '{name}' already, and it learned classes of defects ({classes}). "
                "Give the new line another title."
            )
    elif (weights / name).exists():
        return (
            f"There is a folder '{name}' among the lines already, which holds no line. "
            "Give the new line another title."
        )
    try:
        check_folder(weights / name)
    except ValueError as error:
        return str(error)
    return ""


def bundle_refusal(line: Line, bundle: str, weights: Path) -> str:
    """Why a line's bundle cannot be made under that name, and what to do; empty where it can."""
    if not NAME.fullmatch(bundle):
        return (
            f"'{bundle}' is no name of a bundle: it is written in the letters a to z, digits, '_', "
            "'.' and '-', and begins with a letter or digit. Give it another one."
        )
    folder = weights / line.name
    if (folder / LINE_FILE).is_file():
        try:
            known = read_line(folder)
        except BundleError as error:
            return str(error)
        if known.joined(line.model_copy(update={"bits": known.bits})) is None:
            return (
                f"There is a line '{line.name}' of other classes ({', '.join(known.class_names)}). "
                "Give the labelled set the classes of that line, or another line."
            )
    if (folder / bundle).exists():
        return f"Line '{line.name}' has a bundle '{bundle}' already. Give the new one another name."
    try:
        check_folder(folder)
    except ValueError as error:
        return str(error)
    return ""


def free_name(first: str, line_folder: Path) -> str:
    """`first`, or where the line has it already with the lowest free number behind it."""
    names = (first if number == 1 else f"{first}-{number}" for number in count(1))
    return next(name for name in names if not (line_folder / name).exists())


def taught_before(title: str, weights: Path) -> bool:
    """Whether there is a line of that name, which would learn anew."""
    name = line_name(title)
    return bool(name) and (weights / name / LINE_FILE).is_file()
