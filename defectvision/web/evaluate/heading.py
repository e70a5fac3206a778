"""What an evaluation was measured on, in honest words, and the figures that matter most."""

from __future__ import annotations

from pathlib import PurePosixPath

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from defectvision.bundle.policy import Policy
from defectvision.bundle.words import INTERVALS
from defectvision.data.resampling import interval
from defectvision.evaluation.consequences import Consequence, Expected, Share
from defectvision.evaluation.kept import Kept
from defectvision.evaluation.outcomes import named
from defectvision.evaluation.promises import percent
from defectvision.people import Action
from defectvision.report.evaluation.words import what_reviews_lack
from defectvision.store.database import Store
from defectvision.store.evaluations import delete_evaluation
from defectvision.store.tables import EvaluationRow
from defectvision.web.evaluate.costs import costs_of_session
from defectvision.web.evaluate.opening import Opened, go_to
from defectvision.web.evaluate.views import forget_rows
from defectvision.web.links import ALL
from defectvision.web.session.people import acting, ready
from defectvision.words import capital, counted, in_utc, plain

SEEN_KINDS = {
    "same image": "known by their content",
    "near-copy": "near-copies",
    "same photo group": "other photographs of the same parts",
}
WITH_SEEN = "evaluate-with-seen"
MEMORY = (
    "The bundle learned from all of these images, or from others of the same parts: the figures "
    "measure its memory, not its skill. Do not choose thresholds by them."
)
FEW = 30  # photo groups below which an interval is wide, and is said to be


def title(row: EvaluationRow) -> DeltaGenerator:
    """Which bundle on what, and the way back to all; returns the place for more buttons."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.subheader(
            plain(f"{row.line} / {row.bundle} on {short(row.data)}"),
            icon=":material/fact_check:",
            width="stretch",
        )
        more = st.container(horizontal=True, width="content", key="evaluation-more")
        icon = ":material/arrow_back:"
        st.button("All evaluations", key=ALL, icon=icon, on_click=go_to, args=(None,))
    return more


def short(data: str) -> str:
    """The images in words; of a path its last two names."""
    path, comma, rest = data.partition(", ")
    if not path.startswith("/"):
        return data
    return "/".join(PurePosixPath(path).parts[-2:]) + comma + rest


def more_of(place: DeltaGenerator, store: Store, opened: Opened, policy: Policy) -> None:
    """The whole report as one file, and the end of the evaluation, for those who may."""
    row = opened.row

    def report() -> str:
        from defectvision.report.evaluation.content import content_of
        from defectvision.report.evaluation.html import evaluation_html

        return evaluation_html(content_of(opened.every, policy, costs_of_session()))

    failures = opened.every.about.failures
    with place:
        if failures:
            with st.popover(f"{len(failures):,} not used", icon=":material/broken_image:"):
                st.markdown(f"{counted(len(failures), 'image')} could not be used:")
                lines = [f"- {plain(f'{f.name}: {f.reason}. {f.remedy}')}" for f in failures[:50]]
                st.markdown("\n".join(lines))
        st.download_button(
            "Report",
            report,
            f"evaluation_{row.id}_{row.line}_{row.bundle}.html",
            "text/html",
            icon=":material/description:",
            on_click="ignore",
            help="All of it as one HTML file that needs no network, under the policy of this page.",
        )
        if not acting().may(Action.DELETE):
            return
        with st.popover("Delete", icon=":material/delete:"):
            st.markdown("Its figures are gone then; the images and the bundle stay.")
            why = st.text_input("Reason", key="evaluation-delete-why", max_chars=500).strip()
            able = ready(acting(), Action.DELETE)
            if st.button("Delete this evaluation", disabled=not (able and why)):
                with store.session() as session:
                    delete_evaluation(session, row.id, acting(), why)
                go_to(None)
                st.rerun()


def about(opened: Opened) -> None:
    """What the figures are of, and what must be known before they are believed."""
    row, kept = opened.row, opened.kept
    of = f"{counted(len(kept), 'image')} of {counted(_groups(kept), 'photo group')}"
    bad = int(kept.defective.sum())
    made = in_utc(row.made)
    st.caption(
        plain(
            f"Evaluation {row.id} on {row.data}: {of}, {len(kept) - bad:,} good and {bad:,} "
            f"defective. Bundle version {row.bundle_version}. {row.who}, {made}. {INTERVALS}"
        )
    )
    _seen(opened)
    if unknown := opened.every.about.unknown:
        st.warning(
            plain(
                f"{capital(unknown)}. Where one means a good part, call it good in the set, and "
                "evaluate again."
            ),
            icon=":material/label_off:",
        )
    if _groups(kept) < FEW:
        groups = counted(_groups(kept), "photo group")
        st.info(
            f"Only {groups}: pictures of one part say no more than one, so the intervals are wide. "
            "More parts narrow them, more pictures of the same parts do not.",
            icon=":material/info:",
        )
    if not opened.same_bundle:
        words = "is gone" if opened.loaded is None else "was replaced since"
        st.warning(
            f"The bundle {words}: these are the figures of version {row.bundle_version}. A policy "
            "is chosen on an evaluation of the bundle that is there.",
            icon=":material/warning:",
        )


def _seen(opened: Opened) -> None:
    every = opened.every
    for words in what_reviews_lack(every):
        st.warning(words, icon=":material/warning:")
    seen = int((~every.unseen).sum())
    if not seen:
        return
    if seen == len(every):
        st.error(MEMORY, title="Measured on what it learned from", icon=":material/warning:")
        return
    kinds = every.images["seen"][~every.unseen].value_counts()
    said = ", ".join(f"{int(n):,} {SEEN_KINDS.get(k, k)}" for k, n in kinds.items())
    with st.container(horizontal=True, vertical_alignment="center", key="evaluation-seen"):
        st.warning(
            f"The bundle learned from {counted(seen, 'image')} of this set ({said}). "
            + (
                "They are left out of all figures."
                if opened.left_out
                else "They are among these figures, which are better than the bundle is."
            ),
            icon=":material/visibility:",
        )
        st.toggle("Count them, too", key=WITH_SEEN, persist_state="session", on_change=forget_rows)


def tiles(kept: Kept, policy: Policy, found: Consequence) -> None:
    """Escapes, overkill, reviews and cost under the policy; of a line that cannot accept, how often
    the label is right."""
    cells: list[tuple[str, str, str]] = []
    if kept.line.can_accept:
        cells += [
            _tile("Escapes", found.escapes, "defective accepted"),
            _tile("Overkill", found.overkills, "good rejected"),
            _tile("To review", found.reviews, "parts"),
        ]
        if found.cost is not None:
            cells.append(("Cost per 1000 parts", amount(found.cost.value), between(found.cost)))
    else:
        cells.append(_right(kept, policy))
    with st.container(key="evaluation-tiles"), st.grid(len(cells), min_column_width=150) as grid:
        for name, value, words in cells:
            with grid.cell(), st.container(border=True, height="stretch"):
                st.metric(name, value)
                st.caption(words)


def _tile(name: str, share: Share, of: str) -> tuple[str, str, str]:
    if share.value is None or share.low is None or share.high is None:
        return name, "–", f"there are none: {of}"
    low, high = percent(share.low), percent(share.high)
    return name, percent(share.value), f"{low} to {high}; {share.count:,} of {share.of:,} {of}"


def between(found: Expected) -> str:
    """The interval of a figure per 1000 parts."""
    return f"{amount(found.low)} to {amount(found.high)}"


def amount(value: float) -> str:
    """ "3.142", "12,345": never in powers of ten."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def _right(kept: Kept, policy: Policy) -> tuple[str, str, str]:
    import numpy as np

    right = (named(kept, policy) == kept.truth).all(1)
    drawn = kept.draws.sums(np.stack([right, np.ones(len(kept))], axis=1))
    low, high = interval(drawn[:, 0] / drawn[:, 1]) or (float("nan"),) * 2
    share = float(right.mean()) if len(kept) else float("nan")
    words = f"{percent(low)} to {percent(high)}; {int(right.sum()):,} of {len(kept):,} images"
    return "Right label", percent(share), words


def _groups(kept: Kept) -> int:
    return int(kept.groups.max(initial=-1)) + 1
