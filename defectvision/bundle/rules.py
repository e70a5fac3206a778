"""Rules on what was measured, and the places of the part that they hold for."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Measure = Literal["area", "length", "width"]
Unit = Literal["px", "mm"]
Share = Annotated[float, Field(ge=0, le=1)]
LARGER = {"area": "larger", "length": "longer", "width": "wider"}


def _named(text: str) -> str:
    name = " ".join(text.split())
    if not name or not name.isprintable():
        raise ValueError("a name of at least one letter is needed")
    return name


class Zone(BaseModel):
    """A place on the part, drawn on a picture of it.

    corners: x and y of a polygon's corners, each a share of the model's view of the part, from
    its left and from its upper border: where the line finds the part, a zone moves with it.
    ignored: nothing counts there, neither masks nor maps nor rules; else rules can name it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(max_length=60), AfterValidator(_named)]
    corners: Annotated[tuple[tuple[Share, Share], ...], Field(min_length=3, max_length=200)]
    ignored: bool = False


class Rule(BaseModel):
    """A limit on the regions of a part.

    Broken where at least `at_least` regions of class `class_name` (of any, where None) measure
    more than `over`, in `unit` or its square; where `zone` is named, those that reach into it.
    then: what becomes of a part that breaks it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    then: Literal["review", "reject"]
    class_name: str | None = None
    measure: Measure = "area"
    over: float = Field(0.0, ge=0, allow_inf_nan=False)
    unit: Unit = "px"
    at_least: int = Field(1, ge=1)
    zone: str | None = None

    @property
    def unit_in_words(self) -> str:
        """ "mm²" of an area in mm; of an area in px, as everywhere, "px"."""
        return "mm²" if (self.measure, self.unit) == ("area", "mm") else self.unit

    @property
    def limit_in_words(self) -> str:
        """ "longer than 2 mm"; empty where any size counts."""
        if self.over == 0:
            return ""
        return f"{LARGER[self.measure]} than {self.over:.6g} {self.unit_in_words}"

    def in_words(self, title: str) -> str:
        """ "reject: 3 or more Pore longer than 2 mm in zone B"; title: of the class."""
        return f"{self.then}: {self.what(title)}"

    def what(self, title: str) -> str:
        """What breaks it: "3 or more Pore longer than 2 mm in zone B"."""
        words = [
            f"{self.at_least} or more" if self.at_least > 1 else "",
            title,
            self.limit_in_words,
            f"in zone {self.zone}" if self.zone else "",
        ]
        return " ".join(filter(None, words))
