"""A line: one inspected product with its classes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
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
        """Titles of the defects of which a bundle with `mask_classes` draws no mask."""
        masked = set(mask_classes)
        return [c.title for c in self.classes if c.kind == "defect" and c.name not in masked]

    def _by_name(self, name: str) -> DefectClass:
        for one in self.classes:
            if one.name == name:
                return one
        raise KeyError(f"line '{self.name}' has no class '{name}'")
