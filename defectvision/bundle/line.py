"""A line: one inspected product with its classes."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from defectvision.bundle.labels import DEVIATION

NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
NO_DEFECT = "No defect"  # what a part without any label is called
# Of the classes of a new line.
GOOD_COLOUR = "#4C9A6A"
# Told apart by colour-blind eyes: of Okabe and Ito (https://jfly.uni-koeln.de/color/) and Tol
# (https://sronpersonalpages.nl/~pault/) those that are not taken for a verdict's colour.
DEFECT_COLOURS = ("#CC79A7", "#0072B2", "#E69F00", "#56B4E9", "#DDCC77", "#882255", "#7A5C3E")


class Frozen(BaseModel):
    """Content of a file of the project: never changed in place, and no key that nobody knows."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class DefectClass(Frozen):
    """One class of a line: its name in the data, a title for people, and its colour (#rrggbb)."""

    name: str
    title: str
    kind: Literal["ok", "defect"]
    colour: str = Field(pattern=r"^#[0-9a-fA-F]{6}$")


def free_colour(classes: Collection[DefectClass]) -> str:
    """For another defect beside these classes: the first that none of them has, where there is
    one."""
    taken = {one.colour for one in classes}
    free = [colour for colour in DEFECT_COLOURS if colour not in taken]
    return free[0] if free else DEFECT_COLOURS[len(classes) % len(DEFECT_COLOURS)]


class Line(Frozen):
    """One inspected product, from `weights/<line>/line.json`. Its policy is the bundle's: each
    model has an operating point of its own.

    bits: of the camera's samples, where its files hold more than 8 and do not say how many.
    """

    name: str
    title: str
    classes: tuple[DefectClass, ...] = Field(min_length=1)
    label_mode: Literal["multiclass", "multilabel"] = "multiclass"
    default_bundle: str
    bits: int | None = Field(None, ge=9, le=16)

    @field_validator("name", "default_bundle")
    @classmethod
    def _plain_name(cls, value: str) -> str:
        if not NAME.fullmatch(value):
            raise ValueError("only lowercase letters, digits, '_', '.' and '-'")
        return value

    @field_validator("classes")
    @classmethod
    def _each_once(cls, value: tuple[DefectClass, ...]) -> tuple[DefectClass, ...]:
        names = [one.name for one in value]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two classes are named {twice[0]!r}")
        return value

    @property
    def decides(self) -> str:
        """What of it verdicts depend on, as text that is the same wherever that is the same: which
        classes there are and which are good, how many labels a part has, the camera's bits; not
        titles and colours."""
        kinds = [[c.name, c.kind] for c in self.classes]
        return json.dumps([kinds, self.label_mode, self.bits])

    @property
    def class_names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.classes)

    @property
    def defect_names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.classes if c.kind == "defect")

    @property
    def good_names(self) -> tuple[str, ...]:
        return tuple(c.name for c in self.classes if c.kind == "ok")

    @property
    def from_good_parts(self) -> bool:
        """Whether it knows good parts alone: its one defect is whatever is not like them."""
        return self.defect_names == (DEVIATION,)

    @property
    def deviates(self) -> bool:
        """Whether it has a class for what is not good and has no other name. The line of such a
        class can come to name more defects, and its bundles need not know all of the names."""
        kinds = [one.kind for one in self.classes]
        return (
            self.label_mode == "multiclass"
            and DEVIATION in self.defect_names
            and kinds == ["ok", *["defect"] * (len(kinds) - 1)]
        )

    @property
    def unnamed_defect(self) -> str | None:
        """What a defective part shows of which nobody said what it shows; None where that cannot
        be told."""
        if self.deviates:
            return DEVIATION
        return self.defect_names[0] if len(self.defect_names) == 1 else None

    def of_classes(self, names: Iterable[str]) -> Line | None:
        """The line as a bundle knows it that names these classes: without the defects that such a
        bundle takes for deviations. None where a bundle of the line must know other classes."""
        known = set(names)
        kept = tuple(one for one in self.classes if one.name in known)
        line = self.model_copy(update={"classes": kept})
        if len(kept) != len(known) or not (len(kept) == len(self.classes) or line.deviates):
            return None
        return line

    def joined(self, other: Line) -> Line | None:
        """The line with the defects that `other` names besides, last; None where a bundle of
        `other` cannot be one of the line."""
        if self.decides == other.decides:
            return self
        alike = (self.good_names, self.bits) == (other.good_names, other.bits)
        if not (alike and self.deviates and other.deviates):
            return None
        classes = list(self.classes)
        for one in other.classes:
            if one.name not in self.class_names:
                if one.colour in {known.colour for known in classes}:
                    one = one.model_copy(update={"colour": free_colour(classes)})
                classes.append(one)
        return self.model_copy(update={"classes": tuple(classes)})

    @property
    def can_accept(self) -> bool:
        """Whether the line knows a good part; a multilabel line does by the absence of defects."""
        return self.label_mode == "multilabel" or bool(self.good_names)

    def title_of(self, name: str) -> str:
        """The title of class `name`; raises KeyError where there is none of that name."""
        return self._by_name(name).title

    def colour_of(self, name: str) -> str:
        """The colour of class `name` as #rrggbb; raises KeyError like `title_of`."""
        return self._by_name(name).colour

    def titles(self, names: Iterable[str]) -> str:
        """Labels as people read them: the titles of `names`, or that there is no defect."""
        return ", ".join(map(self.title_of, names)) or NO_DEFECT

    def unmasked(self, mask_classes: Iterable[str]) -> list[str]:
        """Titles of the defects of which a bundle with `mask_classes` draws no mask: none where it
        outlines whatever is unlike good parts."""
        masked = set(mask_classes)
        if masked == {DEVIATION}:
            return []
        return [c.title for c in self.classes if c.kind == "defect" and c.name not in masked]

    def _by_name(self, name: str) -> DefectClass:
        for one in self.classes:
            if one.name == name:
                return one
        raise KeyError(f"line '{self.name}' has no class '{name}'")
