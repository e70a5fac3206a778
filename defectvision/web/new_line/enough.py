"""Whether a labelled set has images enough, for what is to be learned from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from defectvision.bundle.labels import DEVIATION, label_names
from defectvision.bundle.line import Line
from defectvision.report.taught_set import Labelled
from defectvision.words import counted

LEAST_GOOD = 20  # parts that are remembered: with fewer, no threshold stands for anything
LEAST_SHOWN = 4  # images of each class: some to learn from, some to tell apart what was learned


@dataclass(frozen=True)
class Known:
    """Of what a bundle would know that remembers good parts and names defects, how many parts show
    it: good ones, the defects that it could name, those that too few show to be named, and the
    ones that nobody has named, which it would call a deviation like `few`."""

    line: Line
    good: int
    named: Mapping[str, int]
    few: Mapping[str, int]
    unnamed: int

    @classmethod
    def of(cls, labelled: Labelled) -> Known:
        parts: dict[str, set[str]] = {}
        for row in labelled.rows:
            parts.setdefault(row.label, set()).add(row.part or row.digest)
        line = labelled.line
        shown = {name: len(parts.get(name, ())) for name in line.class_names}
        defects = [name for name in line.defect_names if name != DEVIATION]
        return cls(
            line,
            sum(shown[name] for name in line.good_names),
            {name: shown[name] for name in defects if shown[name] >= LEAST_SHOWN},
            {name: shown[name] for name in defects if shown[name] < LEAST_SHOWN},
            shown.get(DEVIATION, 0),
        )

    def lacking(self, names: bool = True) -> str:
        """What is too few, and what to do; empty where nothing is. names: whether defects are to
        be named, or good parts only remembered."""
        if self.good < LEAST_GOOD:
            return (
                f"{counted(self.good, 'good part is', 'good parts are')} too few: at least "
                f"{LEAST_GOOD} that are not held back are needed to remember what good ones look "
                "like. Add photographs of good parts under Images"
            )
        if not names or self.named:
            return ""
        few = ", ".join(f"{self.line.title_of(name)} {shown}" for name, shown in self.few.items())
        return (
            f"No named defect is shown by {LEAST_SHOWN} parts that are not held back"
            f"{f' ({few})' if few else ''}. Name deviations under Label"
        )


def too_few(labelled: Labelled) -> str:
    """Which class too few images show to tell it apart, and what to do; empty where none is."""
    line = labelled.line
    for name in line.class_names:
        shown = sum(name in label_names(row.label) for row in labelled.rows)
        if shown < LEAST_SHOWN:
            return (
                f"{line.title_of(name)}: {counted(shown, 'image shows', 'images show')} it, and at "
                f"least {LEAST_SHOWN} are needed that are not held back. Label more"
            )
    return ""


def memory_in(recipe: str) -> Mapping[str, Any] | None:
    """What a recipe (YAML) says of remembering good parts; None where it says nothing of it, or
    cannot be read, which the program says that learns."""
    try:
        content = yaml.safe_load(recipe)
    except yaml.YAMLError:
        return None
    memory = content.get("memory") if isinstance(content, dict) else None
    return memory if isinstance(memory, dict) else None
