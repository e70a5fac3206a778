"""Which images of an evaluation are looked at: a cell of a table, the worst mistakes, a group."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from defectvision.bundle.policy import Policy, Verdict
from defectvision.evaluation.charts import class_title, confusion, verdict_table, worst
from defectvision.evaluation.kept import Kept
from defectvision.report.looks import LOOKS

VIEW, PLACE, PART = "evaluation-view", "evaluation-place", "evaluation-part"
ESCAPES, OVERKILLS = ("defective", "accept"), ("good", "reject")
MISTAKES = "Mistakes"


@dataclass(frozen=True)
class View:
    """kind: `worst`, `verdict` and `class` (cells of the two tables), `group`, `rows`; row, column:
    which cell or group; rows: of `rows` the images themselves."""

    kind: str
    row: str = ""
    column: str = ""
    rows: tuple[int, ...] = ()
    words: str = ""


WORST = View("worst")


def look_at(view: View, number: int) -> None:
    """Show these images of evaluation `number` where images are shown, the first one open."""
    st.session_state[VIEW] = number, view
    st.session_state[PLACE] = 0
    st.session_state[PART] = MISTAKES


def forget_rows() -> None:
    """Where other images count from now on: rows by their numbers would be other images then."""
    if st.session_state.get(VIEW, (None, WORST))[1].kind == "rows":
        del st.session_state[VIEW]


def chosen(number: int) -> View:
    """What is looked at of an evaluation: the worst mistakes at first."""
    of, view = st.session_state.get(VIEW, (None, WORST))
    return view if of == number else WORST


def images_of(kept: Kept, policy: Policy, view: View) -> NDArray[np.int64]:
    """The images of a view, as rows. Raises EvaluationError as `outcomes.verdicts`."""
    if view.kind == "worst":
        return worst(kept, policy)
    if view.kind == "group":
        return np.flatnonzero(kept.images["group"].to_numpy() == view.row)
    if view.kind == "rows":
        return np.array([row for row in view.rows if row < len(kept)], np.int64)
    found = verdict_table(kept, policy) if view.kind == "verdict" else confusion(kept, policy)
    return found.images.get((view.row, view.column), np.zeros(0, np.int64))


def in_words(kept: Kept, view: View) -> str:
    """What the images of a view have in common."""
    if view.words:
        return view.words
    if view.kind == "worst":
        return "Worst mistakes first"
    if view.kind == "group":
        return f"Photo group {view.row}"
    if view.kind == "verdict":
        name = {ESCAPES: "Escapes: ", OVERKILLS: "Overkill: "}.get((view.row, view.column), "")
        verdict = LOOKS[Verdict(view.column)].word.lower()
        return f"{name}{view.row} parts, {verdict}"
    return f"{class_title(kept, view.row)}, named {class_title(kept, view.column)}"
