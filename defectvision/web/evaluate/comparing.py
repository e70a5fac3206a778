"""Two bundles on the same images: paired differences, and the images on which they differ."""

from __future__ import annotations

from typing import Any

import streamlit as st

from defectvision.bundle.policy import Policy
from defectvision.evaluation.comparison import Comparison, Difference, compare
from defectvision.evaluation.kept import EvaluationError, Kept
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.evaluations import State, list_evaluations
from defectvision.store.policies import in_force
from defectvision.store.tables import EvaluationRow
from defectvision.web.evaluate.charts import difference_figure
from defectvision.web.evaluate.listing import titles_of
from defectvision.web.evaluate.opening import Opened, latest, opened
from defectvision.web.evaluate.views import View, look_at
from defectvision.words import counted, plain

SHARES = ("accuracy", "escapes", "overkills", "reviews")


def comparison(store: Store, first: Opened, policy: Policy) -> None:
    """Choose a second evaluation; what is better, by how much, and how sure that is."""
    with store.reading() as session:
        rows = [
            row
            for row in list_evaluations(session, first.row.line)
            if row.state == State.DONE and row.id != first.row.id
        ]
    if not rows:
        st.info(
            "There is no other evaluation of this line. Evaluate another bundle on the same "
            "images; then the two are compared image by image here.",
            icon=":material/compare_arrows:",
        )
        return
    rows.sort(key=lambda row: (row.data != first.row.data, row.bundle == first.row.bundle))
    titles = titles_of(rows)
    chosen = st.selectbox(
        "Compare with",
        list(titles),
        format_func=titles.__getitem__,
        key=f"evaluation-compare-{first.row.id}",
        filter_mode=None,
    )
    other = next(row for row in rows if row.id == chosen)
    try:
        second = opened(store, other, with_seen=first.left_out == 0)
        theirs = _policy_of(store, second)
        found = latest(
            first.kept,
            "comparison",
            lambda: compare(first.kept, second.kept, (policy, theirs)),
            *(other.id, len(second.kept), policy.model_dump_json(), theirs.model_dump_json()),
        )
    except (EvaluationError, StoreError) as error:
        st.error(plain(str(error)), title="Not compared", icon=":material/error:")
        return
    _shown(found, first.row, other)


def _policy_of(store: Store, second: Opened) -> Policy:
    """The policy that is in force for the second bundle; that of its evaluation where it is
    gone, or another one by now, as on the page of the second."""
    row, loaded = second.row, second.loaded
    if loaded is None or not second.same_bundle:
        return second.every.about.policy
    with store.reading() as session:
        return in_force(session, row.line, row.bundle, loaded.bundle.policy).policy


def _shown(found: Comparison, first: EvaluationRow, second: EvaluationRow) -> None:
    one, two = f"{first.bundle} ({first.id})", f"{second.bundle} ({second.id})"
    some = any(d.found for d in found.differences)
    box = st.success if some else st.info
    box(plain(found.words), icon=":material/compare_arrows:")
    alone = sum(found.alone)
    words = (
        "Paired by image, each under its own policy; intervals and tests by photo group. A "
        "difference is found where chance alone gives any as large in fewer than 5 of 100 cases."
    )
    if alone:
        words += f" {counted(alone, 'image')} that only one of them has are not compared."
    st.caption(words)
    known = [d for d in found.differences if d.difference is not None]
    left, right = st.columns([7, 4], gap="medium")
    left.table(
        [_row(d, one, two) for d in known],
        border="horizontal",
        hide_index=True,
        alt="Both bundles and their differences",
    )
    drawn = [d for d in known if d.metric in SHARES]
    with right:
        st.plotly_chart(
            difference_figure(
                [d.title for d in drawn],
                [(d.difference or 0.0, d.low or 0.0, d.high or 0.0) for d in drawn],
                f"{second.bundle} less {first.bundle}",
            ),
            key="evaluation-differences",
            config={"displayModeBar": False},
            alt="Differences with their intervals",
        )
    rows = tuple(int(found.rows[place, 0]) for place in found.differ)
    if not rows:
        st.markdown("They say the same of every image.")
        return
    words = f"On which {first.bundle} and {second.bundle} differ"
    st.button(
        f"Show the {len(rows):,} images on which they differ",
        icon=":material/search:",
        on_click=look_at,
        args=(View("rows", rows=rows, words=words), first.id),
    )
    _differing(found, one, two)


def _row(found: Difference, one: str, two: str) -> dict[str, Any]:
    def shown(value: float | None, sign: str = "") -> str:
        if value is None:
            return "–"
        return f"{value:{sign}.2%}" if found.metric in SHARES else f"{value:{sign}.4f}"

    if not found.found:
        said = "no difference found"
    else:
        gains = ((found.difference or 0) > 0) == found.better
        said = f"**{plain(two if gains else one)}** is better"
    return {
        "Figure": found.title,
        plain(one): shown(found.first),
        plain(two): shown(found.second),
        "Difference": f"{shown(found.difference, '+')} "
        f"({shown(found.low, '+')} to {shown(found.high, '+')})",
        "p": "–" if found.p is None else f"{found.p:.3f}",
        "": said,
    }


def _differing(found: Comparison, one: str, two: str) -> None:
    """The first of them, side by side."""
    from defectvision.bundle.policy import STRICTNESS
    from defectvision.evaluation.charts import class_title
    from defectvision.evaluation.outcomes import verdicts
    from defectvision.report.looks import LOOKS

    places = found.differ[:50]

    def said(kept: Kept, policy: Policy) -> list[str]:
        return [LOOKS[STRICTNESS[code]].signed for code in verdicts(kept, policy)[places]]

    first, second = found.first.images.iloc[places], found.second.images.iloc[places]
    st.dataframe(
        {
            "Image": first["path"].tolist(),
            "It is": [class_title(found.first, text) for text in first["truth"]],
            one: said(found.first, found.policies[0]),
            two: said(found.second, found.policies[1]),
            "Score, first": first["score"].tolist(),
            "Score, second": second["score"].tolist(),
        },
        hide_index=True,
        alt="Images on which the two differ",
    )
