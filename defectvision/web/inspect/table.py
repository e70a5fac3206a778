"""All images of a line: how many got which verdict, one row each, and the table as CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import streamlit as st

from defectvision.bundle.policy import FOREIGN, Policy, Verdict
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.regions import Region
from defectvision.report.looks import IMAGES, LOOKS, NOT_INSPECTED, Look, remarks
from defectvision.web.state import Result, Work, count_verdicts

ROW_HEIGHT = 40  # px, room for a thumbnail


def tiles(results: Sequence[Result], policy: Policy, loaded: LoadedBundle) -> None:
    """Counts of the verdicts, and of the files that could not be inspected."""
    counts = count_verdicts(results, policy)
    shown = [(LOOKS[verdict], counts[verdict]) for verdict in Verdict]
    if not loaded.line.can_accept:
        shown[0] = (IMAGES, len(results))
    shown.append((NOT_INSPECTED, sum(r.error is not None for r in results)))
    with st.grid(2, gap="small", min_column_width=90):
        for look, count in shown:
            with st.container(key=f"tile-{look.word.lower().replace(' ', '-')}"):
                st.metric(look.markdown, count, border=True)


def results_table(
    work: Work, results: Sequence[Result], policy: Policy, loaded: LoadedBundle
) -> None:
    """The table; a click into a row opens its image."""
    import pandas as pd

    line = loaded.line
    rows = []
    for result in results:
        found = result.inspection
        labels = found.labels(policy) if found else ()
        regions = work.regions(result, policy)
        look = LOOKS[found.verdict(policy)] if found else NOT_INSPECTED
        rows.append(
            {
                "picture": result.entry.thumbnail or None,
                "name": result.entry.name,
                "verdict": [look.signed],
                "label": line.titles(labels) if found else "",
                "probability": found.probabilities[labels[0]] if found and labels else None,
                "defect_score": found.defect_score if found else None,
                "regions": len(regions) if found else None,
                "largest": _largest(regions),
                "note": _note(result),
            }
        )
    table = pd.DataFrame(rows)
    opened = work.open_result(line.name, list(results))
    place = next((i for i, r in enumerate(results) if r is opened), None)
    key = f"table-{line.name}"
    if place is not None:
        st.session_state[key] = {"selection": {"rows": [place], "columns": [], "cells": []}}
    number = st.column_config.NumberColumn
    hidden = {} if line.can_accept else {"defect_score": None}
    if not loaded.bundle.mask_classes:
        hidden |= {"regions": None, "largest": None}
    unit, digits = ("px", "%d") if policy.mm_per_px is None else ("mm²", "%.2f")

    def clicked() -> None:
        selection = st.session_state[key]["selection"]
        picked = [row for row, _ in selection["cells"]] or list(selection["rows"])
        if picked and results[picked[0]].inspection is not None:
            work.opened[line.name] = results[picked[0]].entry.number

    st.dataframe(
        table,
        key=key,
        hide_index=True,
        row_height=ROW_HEIGHT,
        height=min(36 + ROW_HEIGHT * len(rows) + 3, 36 + ROW_HEIGHT * 12),
        on_select=clicked,
        selection_mode=["single-row", "single-cell"],
        alt="Inspected images with verdict, label and scores",
        placeholder="",
        column_config={
            "picture": st.column_config.ImageColumn("", width=48),
            "name": st.column_config.TextColumn("Image", width=150),
            "verdict": verdict_column([*LOOKS.values(), NOT_INSPECTED], 120),
            "label": st.column_config.TextColumn("Label"),
            "probability": number("Probability", format="%.3f"),
            "defect_score": number("Defect score", format="%.3f"),
            "regions": number("Regions", format="%d"),
            "largest": number(f"Largest, {unit}", format=digits),
            "note": st.column_config.TextColumn("Note"),
            **hidden,
        },
    )


def verdict_column(looks: Iterable[Look], width: int) -> Any:
    """The column that says verdicts by sign, word and colour; width in px."""
    looks = list(looks)
    return st.column_config.MultiselectColumn(
        "Verdict",
        width=width,
        options=[look.signed for look in looks],
        color=[look.hex for look in looks],
    )


def _largest(regions: Sequence[Region]) -> float | None:
    """Area of the largest region, in mm² where the scale is known, else in px."""
    if not regions:
        return None
    return regions[0].area_px if regions[0].area_mm2 is None else regions[0].area_mm2


def _note(result: Result) -> str:
    if result.error is not None:
        return f"{result.error.reason}. {result.error.remedy}"
    foreign = result.inspection is not None and result.inspection.foreign_score > FOREIGN
    return remarks(result.entry.synthetic, foreign)
