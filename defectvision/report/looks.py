"""How verdicts and what has none look, on pages, in charts, in pictures and in the PDF alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy, Verdict
from defectvision.words import capital

if TYPE_CHECKING:
    from defectvision.inference.judged import Judged

INK, SOFT, RULE = "#1b232b", "#56616c", "#cfd5db"  # text, lesser text and lines on white paper
AXIS = "#7a8590"  # lines in charts: seen on a light and on a dark ground
BARS = "#5b6770"  # bars that stand for no class
SYNTHETIC = "synthetic sample"  # what an image is called that the program drew


@dataclass(frozen=True)
class Look:
    """A word, an icon (Material's name as Streamlit writes it), a sign for plain text and a
    colour, by Streamlit's name and as #rrggbb: nobody has to tell verdicts by colour alone."""

    word: str
    icon: str
    sign: str
    colour: Literal["green", "orange", "red", "gray", "violet"]
    hex: str

    @property
    def signed(self) -> str:
        """Sign and word, for a cell of a table."""
        return f"{self.sign} {self.word}"

    @property
    def markdown(self) -> str:
        """Icon and word in the theme's colour, as Streamlit writes it."""
        return f":{self.colour}[{self.icon} {self.word}]"


LOOKS = {
    Verdict.ACCEPT: Look("Accept", ":material/check_circle:", "✓", "green", "#17734a"),
    Verdict.REVIEW: Look("Review", ":material/help:", "?", "orange", "#b04a00"),
    Verdict.REJECT: Look("Reject", ":material/cancel:", "✕", "red", "#b3261e"),
    Verdict.UNUSABLE: Look("Unusable", ":material/hide_image:", "⊘", "violet", "#6a4bbf"),
}
NOT_INSPECTED = Look("Not inspected", ":material/broken_image:", "–", "gray", SOFT)
IMAGES = Look("Images", ":material/image:", "", "gray", SOFT)


def whole_numbers(most: float) -> dict[str, object]:
    """Of an axis of counts up to `most`, as Plotly takes it: no ticks between whole numbers."""
    return {"dtick": 1} if most < 6 else {}


def log_counts(most: float) -> dict[str, object]:
    """Of a logarithmic axis of counts up to `most`, as Plotly takes it: it begins below 1, so that
    a single one is in sight."""
    ends = [math.log10(0.7), math.log10(1.3 * max(1, most))]
    return {"type": "log", "range": ends, "dtick": 1 if most >= 10 else "D2"}


def verdicts_of(line: Line) -> tuple[Verdict, ...]:
    """The verdicts that a line's model can come to, the good one first."""
    return tuple(
        verdict
        for verdict in Verdict
        if verdict != Verdict.UNUSABLE and (line.can_accept or verdict != Verdict.ACCEPT)
    )


def is_a_guess(judged: Judged, policy: Policy) -> bool:
    """Whether the label is only the most probable of all classes, the good ones among them, since
    the score leaves open whether the part is good: it must not stand there like a verdict."""
    undecided = judged.defect_score is not None and judged.verdict(policy) == Verdict.REVIEW
    return undecided and judged.line.label_mode == "multiclass"


def verdicts_in(line: Line, counts: Mapping[Verdict, int]) -> tuple[Verdict, ...]:
    """The verdicts to show counts of: the model's, and what people called unusable, if anything."""
    unusable = (Verdict.UNUSABLE,) if counts[Verdict.UNUSABLE] else ()
    return (*verdicts_of(line), *unusable)


def remarks(synthetic: bool, objection: str, others: Iterable[str] = ()) -> str:
    """What must be known of an image beside its scores, as one text; empty without anything.

    objection: why there can be no verdict on it, see `Judged.objection`; it comes first.
    """
    said = ", ".join(filter(None, [objection, SYNTHETIC if synthetic else "", *others]))
    return capital(said)
