"""The verdict on the open image: what, how sure, why, and what speaks against trusting it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from defectvision.bundle.line import Line
from defectvision.bundle.policy import NO_ACCEPTING, Policy, Verdict, beside_thresholds
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.judged import Judged
from defectvision.inference.regions import Region
from defectvision.report.looks import LOOKS, is_a_guess
from defectvision.web.cards import probability_bars
from defectvision.web.open_image import OpenImage
from defectvision.words import capital, counted, in_utc, plain

NO_VERDICT = {
    "unlike": "It is not what the model has learned to judge, so it goes to review whatever its "
    "scores are.",
    "quality": "The picture is not good enough for a verdict, so it goes to review whatever its "
    "scores are. Take it again.",
}
BOXES = {
    Verdict.ACCEPT: st.success,
    Verdict.REVIEW: st.warning,
    Verdict.REJECT: st.error,
    Verdict.UNUSABLE: st.info,
}


def verdict_card(image: OpenImage, policy: Policy, loaded: LoadedBundle) -> None:
    """Verdict, label and probabilities."""
    inspection = image.inspection
    verdict = inspection.verdict(policy)
    words = [reason(inspection, policy)]
    if not policy.rules:
        words.append(contradiction(verdict, image.cut.regions))
    if not inspection.objections:
        words.insert(0, labels_in_words(inspection, policy))
    with st.container(key="verdict"):
        BOXES[verdict](
            " ".join(filter(None, words)),
            title=headline(inspection, policy),
            icon=LOOKS[verdict].icon,
        )
    if loaded.bundle.preprocessing.fit == "round_part" and not inspection.part_found:
        st.warning(
            "No round part was found, so the whole image was inspected, its background too. "
            "Photograph the part from the front, all of it in the frame.",
            icon=":material/center_focus_weak:",
        )
    st.html(probability_bars(inspection))


def decision_card(judged: Judged, line: Line) -> None:
    """What people decided on the part, who, when and why; nothing where nobody has."""
    decision = judged.decision
    if decision is None:
        return
    look = LOOKS[decision.verdict]
    words = [f"By {plain(decision.who)}, {in_utc(decision.at)}."]
    if decision.disputed:
        words.insert(0, "They disagree: the part waits for one of them, or for a third.")
    elif decision.labels:
        words.insert(0, f"**{plain(line.titles(decision.labels))}**.")
    if decision.note:
        words.append(f"Note: {plain(decision.note)}")
    title = "Disputed" if decision.disputed else f"Decided: {look.word}"
    with st.container(key="decision"):
        BOXES[decision.verdict](" ".join(words), title=title, icon=look.icon)


def headline(judged: Judged, policy: Policy) -> str:
    """The verdict in a word, or why there can be none; the model's where people decided."""
    if not judged.objections:
        word = LOOKS[judged.verdict(policy)].word
        return word if judged.decision is None else f"The model: {word}"
    return plain(capital(judged.objection))


def labels_in_words(judged: Judged, policy: Policy) -> str:
    """The labels with their probabilities, in Markdown."""
    labels = judged.labels(policy)
    titles = [f"**{plain(judged.line.title_of(name))}**" for name in labels]
    values = [f"{judged.probabilities[name]:.3f}" for name in labels]
    if not labels:
        return f"**{plain(judged.line.titles(labels))}**."
    if judged.line.from_good_parts:  # how far from good parts is no probability
        return f"{titles[0]}."
    if len(labels) == 1 and is_a_guess(judged, policy):
        return f"Most probable of all classes: {titles[0]}, {values[0]}."
    if len(labels) == 1:
        return f"{titles[0]}, probability {values[0]}."
    named = ", ".join(f"{title} {value}" for title, value in zip(titles, values, strict=True))
    return f"Probability of {named}."


def reason(judged: Judged, policy: Policy) -> str:
    """Why the verdict is what it is, in a sentence."""
    if judged.objections:
        return NO_VERDICT[judged.objections[0].kind]
    if judged.defect_score is None:
        return f"This line {NO_ACCEPTING}."
    broken = " ".join(f"**{plain(words)}**." for words in judged.broken_in_words(policy))
    if policy.rules and not policy.score_decides:
        return broken or "No rule is broken, and the rules alone decide."
    return " ".join(filter(None, (broken, _by_score(judged.defect_score, policy))))


def _by_score(defect_score: float, policy: Policy) -> str:
    """What the score says, in a sentence."""
    shown, low, high = beside_thresholds(defect_score, policy)
    score = f"Defect score {shown}"
    zone = policy.zone(defect_score)
    if zone == Verdict.ACCEPT:
        return f"{score}, accepted below {low}."
    if zone == Verdict.REJECT:
        return f"{score}, rejected from {high} on."
    return f"{score}, between {low} and {high}."


def contradiction(verdict: Verdict, regions: Sequence[Region]) -> str:
    """Where the verdict comes from the score alone, a mask that says otherwise is worth a look."""
    if verdict != Verdict.ACCEPT or not regions:
        return ""
    outlined = counted(len(regions), "region is", "regions are")
    return f"{outlined} outlined all the same, the largest {regions[0].area_px:,} px."
