"""The one table of judged images: a row each, and a click into a row opens its image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import streamlit as st

from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy, decimals_beside
from defectvision.inference.images import ImageError
from defectvision.inference.judged import Judged
from defectvision.inference.regions import Region
from defectvision.report.looks import LOOKS, NOT_INSPECTED, remarks
from defectvision.web.viewer.pictures import encoded_url

ROW_HEIGHT, HEAD_HEIGHT = 40, 36  # px; a row has room for a thumbnail
MOST_ROWS = 12  # in sight at a time; the table scrolls


@dataclass(frozen=True)
class Row:
    """One image: what judges it, or the error that there is instead.

    thumbnail: a small JPEG, empty where there is none; regions: those under the policy, the
    largest first, None where they are lost; others: more remarks; reviews: what people decided, in
    words.
    """

    name: str
    judged: Judged | None
    error: ImageError | None = None
    thumbnail: bytes = b""
    regions: Sequence[Region] | None = ()
    synthetic: bool = False
    others: tuple[str, ...] = ()
    reviews: str = ""


def cells(row: Row, policy: Policy) -> dict[str, object]:
    """The row as the table shows it, by column."""
    judged = row.judged
    labels = judged.final_labels(policy) if judged else ()
    look = LOOKS[judged.final_verdict(policy)] if judged else NOT_INSPECTED
    broken = judged.broken_in_words(policy) if judged and not judged.objections else []
    others = (*row.others, *_decided(judged, policy), *broken)
    note = remarks(row.synthetic, judged.objection if judged else "", others)
    if row.error is not None:
        note = f"{row.error.reason}. {row.error.remedy}"
    return {
        "picture": encoded_url(row.thumbnail, "jpeg") if row.thumbnail else None,
        "name": row.name,
        "verdict": [look.signed],
        "label": judged.line.titles(labels) if judged and not judged.classless else "",
        "probability": judged.probabilities.get(labels[0]) if judged and labels else None,
        "score": judged.defect_score if judged else None,
        "regions": len(row.regions) if judged and row.regions is not None else None,
        "largest": largest_area(row.regions or ()),
        "reviews": row.reviews,
        "note": note,
    }


def _decided(judged: Judged | None, policy: Policy) -> tuple[str, ...]:
    """What the model said, where people decided otherwise, and their note."""
    if judged is None or judged.decision is None:
        return ()
    model = judged.verdict(policy)
    other = model != judged.final_verdict(policy)
    words = (f"the model said {LOOKS[model].word.lower()}" if other else "", judged.decision.note)
    return tuple(filter(None, words))


def largest_area(regions: Sequence[Region]) -> float | None:
    """Area of the largest region, in mm² where the scale is known, else in px."""
    if not regions:
        return None
    return regions[0].area_px if regions[0].area_mm2 is None else regions[0].area_mm2


def hidden_columns(line: Line, mask_classes: Sequence[str], reviewed: bool) -> set[str]:
    """What has nothing to say of a line, a bundle or a page."""
    hidden = set() if line.can_accept else {"score"}
    if not mask_classes:
        hidden |= {"regions", "largest"}
    return hidden if reviewed else hidden | {"reviews"}


def judged_table(
    rows: Sequence[Row],
    policy: Policy,
    hidden: set[str],
    opened: int | None,
    choose: Callable[[int], None],
    key: str,
    sort: Callable[[str], None] | None = None,
) -> None:
    """The table; `opened` is the place of the row whose image is open, and `choose` gets that of a
    row which was clicked. A row without an inspection opens nothing.

    sort: gets the column whose head was clicked, where the rows are a page of more: else the table
    would sort those alone.
    """
    import pandas as pd

    content = [cells(row, policy) for row in rows]
    if not any(row["note"] for row in content):  # the others need the room
        hidden = hidden | {"note"}
    picked = [] if opened is None else [opened]
    st.session_state[key] = {"selection": {"rows": picked, "columns": [], "cells": []}}

    def clicked() -> None:
        selection = st.session_state[key]["selection"]
        if sort is not None and selection["columns"]:
            sort(selection["columns"][0])
            return
        places = [row for row, _ in selection["cells"]] or list(selection["rows"])
        if places and places[0] < len(rows) and rows[places[0]].judged is not None:
            choose(places[0])

    modes: list[Literal["single-row", "single-cell", "single-column"]]
    modes = ["single-row", "single-cell"]
    st.dataframe(
        pd.DataFrame(content),
        key=key,
        hide_index=True,
        row_height=ROW_HEIGHT,
        height=HEAD_HEIGHT + ROW_HEIGHT * min(max(1, len(rows)), MOST_ROWS) + 3,
        on_select=clicked,
        selection_mode=[*modes, "single-column"] if sort else modes,
        alt="Inspected images with verdict, label and scores",
        placeholder="",
        column_config={**_columns(rows, policy), **dict.fromkeys(hidden)},
    )


def _columns(rows: Sequence[Row], policy: Policy) -> dict[str, Any]:
    text, number = st.column_config.TextColumn, st.column_config.NumberColumn
    unit, digits = ("px", "%d") if policy.mm_per_px is None else ("mm²", "%.2f")
    return {
        "picture": st.column_config.ImageColumn("", width=48),
        "name": text("Image", width=150),
        "verdict": verdict_column(),
        "label": text("Label"),
        "probability": number("Probability", format="%.3f"),
        "score": score_column((r.judged.defect_score for r in rows if r.judged), policy),
        "regions": number("Regions", format="%d"),
        "largest": number(f"Largest area, {unit}", format=digits),
        "reviews": text("Reviewed"),
        "note": text("Note"),
    }


def score_column(
    scores: Iterable[float | None], policy: Policy, title: str = "Defect score"
) -> Any:
    """The column that says defect scores, none as if it lay on the other side of a threshold."""
    digits = decimals_beside(scores, policy)
    return st.column_config.NumberColumn(title, format=f"%.{digits}f")


def verdict_column(title: str = "Verdict") -> Any:
    """The column that says verdicts by sign, word and colour."""
    looks = [*LOOKS.values(), NOT_INSPECTED]
    return st.column_config.MultiselectColumn(
        title,
        width=120,
        options=[look.signed for look in looks],
        color=[look.hex for look in looks],
    )
