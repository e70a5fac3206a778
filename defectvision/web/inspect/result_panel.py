"""The open image: its verdict, how sure that is, and which explanation is shown."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from defectvision.bundle.policy import FOREIGN, NO_ACCEPTING, Policy, Verdict, threshold_text
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.heatmap import EXACT
from defectvision.inference.inspection import Inspection
from defectvision.inference.regions import Region
from defectvision.report.looks import LOOKS, NOT_INSPECTED, SYNTHETIC
from defectvision.web import cards
from defectvision.web.inspect.explanation import GRADIENT_METHODS, why_no_gradients
from defectvision.web.state import Result, Work
from defectvision.words import counted, plain

MOST_ERRORS = 2  # shown in full; the table has them all


def steps(work: Work, line: str, results: Sequence[Result], result: Result) -> None:
    """Previous and next, also by the keys P and N, and the name of the open image."""
    usable = [r for r in results if r.inspection is not None]
    place = usable.index(result)
    left, right = st.columns(2, gap="small")
    for column, label, by, end in (
        (left, "Previous", -1, place == 0),
        (right, "Next", 1, place == len(usable) - 1),
    ):
        column.button(
            label,
            shortcut=label[0],
            width="stretch",
            disabled=end,
            on_click=work.step,
            args=(line, list(results), by),
        )
    note = f"{place + 1} of {len(usable)}"
    if result.entry.synthetic:
        note += f" · {SYNTHETIC.capitalize()}"
    st.html(cards.heading(result.entry.name, note))


def verdict_card(
    found: Inspection, policy: Policy, loaded: LoadedBundle, regions: Sequence[Region] = ()
) -> None:
    """Verdict, label and probabilities, and what speaks against trusting them."""
    verdict, labels = found.verdict(policy), found.labels(policy)
    title = plain(found.line.titles(labels))
    if labels:
        values = [f"{found.probabilities[name]:.3f}" for name in labels]
        titles = [plain(found.line.title_of(name)) for name in labels]
        named = [f"**{t}** {p}" for t, p in zip(titles, values, strict=True)]
        one = f"**{title}**, probability {values[0]}"
        title = one if len(labels) == 1 else f"Probability of {', '.join(named)}"
    else:
        title = f"**{title}**"
    said = f"{title}. {_because(found, policy)} {_regions_said(verdict, regions)}".rstrip()
    box = {Verdict.ACCEPT: st.success, Verdict.REVIEW: st.warning, Verdict.REJECT: st.error}
    look = LOOKS[verdict]
    with st.container(key="verdict"):
        box[verdict](said, title=look.word, icon=look.icon)
    if loaded.bundle.preprocessing.fit == "round_part" and not found.part_found:
        st.warning(
            "No round part was found, so the whole image was inspected, its background too. "
            "Photograph the part from the front, all of it in the frame.",
            icon=":material/center_focus_weak:",
        )
    st.html(cards.probability_bars(found))


def _because(found: Inspection, policy: Policy) -> str:
    """Why the verdict is what it is, in a sentence."""
    if found.foreign_score > FOREIGN:
        return (
            f"It does not look like this line (foreign score {found.foreign_score:.1f}, limit "
            f"{FOREIGN:g}), so it goes to review whatever its scores are."
        )
    if found.defect_score is None:
        return f"This line {NO_ACCEPTING}."
    score = f"Defect score {found.defect_score:.3f}"
    low, high = threshold_text(policy.accept_below), threshold_text(policy.reject_above)
    verdict = found.verdict(policy)
    if verdict == Verdict.ACCEPT:
        return f"{score}, accepted below {low}."
    if verdict == Verdict.REJECT:
        return f"{score}, rejected from {high} on."
    return f"{score}, between {low} and {high}."


def _regions_said(verdict: Verdict, regions: Sequence[Region]) -> str:
    """The verdict comes from the score: a mask that says otherwise is worth a look."""
    if verdict != Verdict.ACCEPT or not regions:
        return ""
    count = counted(len(regions), "region is", "regions are")
    return f"{count} outlined all the same, the largest {regions[0].area_px:,} px."


def explanation_controls(
    found: Inspection, policy: Policy, loaded: LoadedBundle
) -> tuple[str, str]:
    """The class whose evidence is shown, and the method."""
    line = found.line
    label = found.main_class(policy)
    chosen = st.selectbox(
        "Heatmap for",
        ["", *line.class_names],
        # A widget's texts must not change with the image: it would show the old one's.
        format_func=lambda name: line.title_of(name) if name else "The label",
        key=f"class-{line.name}",
        persist_state="session",
        filter_mode=None,
    )
    missing = why_no_gradients(loaded)
    method = st.selectbox(
        "Explanation",
        [EXACT] if missing else [EXACT, *GRADIENT_METHODS],
        key="method-exact" if missing else "method",
        persist_state="session",
        filter_mode=None,
        disabled=bool(missing),
        help="The exact map adds up to the logit. The others come from gradients of the torch "
        "model, for comparison; they take longer.",
    )
    if missing:
        st.caption(missing)
    return chosen or label, method


def upload_errors(results: Sequence[Result]) -> None:
    """One message for each file that could not be inspected: which, why, what to do."""
    errors = [r.error for r in results if r.error is not None]
    with st.container(key="errors"):
        for error in errors[-MOST_ERRORS:]:
            st.error(
                plain(f"{error.reason}. {error.remedy}"),
                title=plain(error.name),
                icon=NOT_INSPECTED.icon,
            )
        if len(errors) > MOST_ERRORS:
            more = len(errors) - MOST_ERRORS
            said = counted(more, "more file was not inspected", "more files were not inspected")
            st.caption(f"{said}; see the table.")
