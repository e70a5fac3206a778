"""The part that is shown: a band of verdict, label and reason, and its picture."""

from __future__ import annotations

from html import escape

import streamlit as st

from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.images import ImageError, decode_image
from defectvision.inference.judged import Decision
from defectvision.report.looks import LOOKS, NOT_INSPECTED, Look
from defectvision.report.picture import overlaid
from defectvision.settings import settings
from defectvision.store.errors import StoreError
from defectvision.store.results import Results
from defectvision.store.stored import StoredInspection
from defectvision.web.open_image import main_heatmap
from defectvision.web.viewer.pictures import viewer_picture
from defectvision.words import counted, plain

DRAWN = "floor-picture"  # in the session's state: what was drawn last, and its picture


def show_part(
    results: Results, loaded: LoadedBundle, part: StoredInspection | ImageError | None
) -> None:
    """The verdict that counts under the policy in force, never under one that is only tried."""
    if part is None:
        st.info("Nothing of this batch is inspected yet.", icon=":material/hourglass:")
        return
    policy = results.policy_in_force().policy
    if isinstance(part, ImageError):
        _band(NOT_INSPECTED, part.reason, part.name)
        st.markdown(plain(part.remedy))
    else:
        look = LOOKS[part.final_verdict(policy)]
        _band(look, why(part, policy), part.name)
        _picture(part, policy, loaded)
    _counts(results, policy)


def why(part: StoredInspection, policy: Policy) -> str:
    """The part's classes, what speaks against a verdict, or the rule that it breaks."""
    if (decision := part.decision) is not None:
        said = part.line.titles(decision.labels) if _tells_classes(decision) else ""
        said = "disputed" if decision.disputed else said
        return ", ".join(filter(None, [said, f"by {decision.who}"]))
    if part.objections:
        return part.objection
    return "; ".join([part.line.titles(part.labels(policy)), *part.broken_in_words(policy)])


def _tells_classes(decision: Decision) -> bool:
    """Whether people said which defects the part has, or that it has none."""
    return bool(decision.labels) or decision.verdict == Verdict.ACCEPT


def _band(look: Look, words: str, name: str) -> None:
    st.html(
        f'<section class="dv-floor" role="status" style="background: {look.hex}">'
        f"<strong>{escape(look.signed)}</strong><p>{escape(words)}</p>"
        f"<small>{escape(name)}</small></section>"
    )


def _picture(part: StoredInspection, policy: Policy, loaded: LoadedBundle) -> None:
    """The picture with what speaks for the verdict; drawn once, however often the page looks."""
    good = part.final_verdict(policy) == Verdict.ACCEPT
    asked = part.id, good, policy, loaded.version
    drawn, picture = st.session_state.get(DRAWN, (None, ""))
    if drawn != asked:
        try:
            data = part.picture()
            if data is None:
                st.info("The picture was not kept, or its days are over.", icon=":material/image:")
                return
            whole = part.inspection
            image = decode_image(data, part.name, settings().limits.pixels, bits=part.line.bits)
        except (StoreError, ImageError) as error:
            st.html(f"<p>{escape(str(error))}</p>")
            return
        heatmap = main_heatmap(whole, policy, loaded)
        # On a good part it would speak of what makes it good, which nobody asks there.
        opacity = 0.0 if good else 0.7
        picture = viewer_picture(overlaid(image, whole, whole.cut(policy), heatmap, opacity))
        st.session_state[DRAWN] = asked, picture
    st.html(f'<img class="dv-floor-picture" src="{picture}" alt="{escape(part.name)}" />')


def _counts(results: Results, policy: Policy) -> None:
    found = results.summary(results.selection(policy))
    shown = [counted(found.images, "part")]
    shown += [f"{LOOKS[v].word}: {count:,}" for v, count in found.verdicts.items() if count]
    st.html(f'<p class="dv-floor-counts">{escape(" · ".join(shown))}</p>')
