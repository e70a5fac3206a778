"""What the Inspect page says while there is nothing to show."""

from __future__ import annotations

import streamlit as st

from defectvision.bundle.line import Line
from defectvision.bundle.schema import LoadedBundle
from defectvision.web.cards import colour_swatches


def empty_state(line: Line, loaded: LoadedBundle, failed: bool) -> None:
    """What to do while there is nothing to show."""
    st.subheader(f"Inspect: {line.title}", icon=":material/center_focus_strong:")
    if failed:
        st.markdown("None of the files could be inspected; each says why beside the upload.")
    st.markdown(
        "Drop images or a zip file into **Images or zip files** on the left. Each image gets its "
        f"label, its scores and a heatmap of what the model saw{_outlined(loaded)}; the policy on "
        "the left turns the scores into verdicts."
        if line.can_accept
        else "Drop images or a zip file into **Images or zip files** on the left. Each image gets "
        f"the name of the defect it shows, and a heatmap of what the model saw{_outlined(loaded)}."
    )
    st.caption("Classes of this line")
    st.html(colour_swatches(line))
    st.caption(f"Bundle {loaded.bundle.name}, version {loaded.version}")


def _outlined(loaded: LoadedBundle) -> str:
    """What the empty page says of the masks that the bundle draws."""
    masked = loaded.bundle.mask_classes
    if not masked:
        return ""
    if not loaded.line.unmasked(masked):
        return ", with its defects outlined and measured"
    return f", with these outlined and measured: {loaded.line.titles(masked)}"
