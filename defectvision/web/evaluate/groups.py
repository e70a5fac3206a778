"""Photo groups of an evaluation, so that one bad part, surface or day can be seen."""

from __future__ import annotations

import streamlit as st

from defectvision.bundle.policy import Policy
from defectvision.evaluation.charts import by_group
from defectvision.evaluation.kept import Kept
from defectvision.web.evaluate.views import View, look_at
from defectvision.web.widgets import part_of_more
from defectvision.words import counted

MOST = 500


def groups(kept: Kept, policy: Policy, number: int) -> None:
    """A row a group, those with most mistakes first; a click shows its images."""
    table = by_group(kept, policy)
    wrong = table["escapes"] + table["overkills"]
    with_errors = int((wrong > 0).sum())
    if with_errors:
        worst = int(wrong.iloc[0])
        st.markdown(
            f"{with_errors:,} of {counted(len(table), 'photo group')} hold all "
            f"{int(wrong.sum()):,} escapes and overkills; the worst alone has {worst:,}."
        )
    else:
        st.markdown(f"No escape and no overkill in {counted(len(table), 'photo group')}.")
    shown = table.head(MOST)
    names = shown["group"].tolist()
    key = "evaluation-groups"

    def clicked() -> None:
        selection = st.session_state[key]["selection"]
        places = [row for row, _ in selection["cells"]] or list(selection["rows"])
        if places and places[0] < len(names):
            look_at(View("group", str(names[places[0]])), number)

    most = max(1, int(shown["images"].max()) if len(shown) else 1)
    bar = st.column_config.ProgressColumn
    columns = ["group", "images", "good", "defective", "escapes", "overkills", "reviews"]
    with part_of_more(len(table) > MOST):
        st.dataframe(
            shown[columns],
            key=key,
            hide_index=True,
            on_select=clicked,
            selection_mode=["single-row", "single-cell"],
            alt="Photo groups with their mistakes, the worst first",
            column_config={
                "group": st.column_config.TextColumn("Photo group", width="large"),
                "images": st.column_config.NumberColumn("Images", format="localized"),
                "good": "Good",
                "defective": "Defective",
                "escapes": bar("Escapes", format="%d", min_value=0, max_value=most, color="red"),
                "overkills": bar(
                    "Overkill", format="%d", min_value=0, max_value=most, color="orange"
                ),
                "reviews": bar("To review", format="%d", min_value=0, max_value=most),
            },
        )
    if len(table) > MOST:
        st.caption(f"The first {MOST:,} of {len(table):,}.")
