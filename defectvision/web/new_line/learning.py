"""How a training goes: its curves, and some validation images as the model sees them by now."""

from __future__ import annotations

import re
from pathlib import Path

import streamlit as st

from defectvision.bundle.history import history_in
from defectvision.web.lines.curve import curve_chart
from defectvision.web.new_line.runs import HISTORY, Run, Snapshot
from defectvision.words import plain

ACROSS = 2
HELP = (
    "Loss says how far the answers are from the labels; less is better. While both lines fall it "
    "learns. Where the one of the validation images, from which it does not learn, rises again, it "
    "learns its own images by heart: label more, or train for fewer epochs."
)


def how_it_learned(run: Run) -> None:
    """Of a training that has ended."""
    if run.learning() is None:
        return
    opened = st.expander("How it learned", icon=":material/show_chart:")
    with opened:
        learning(run)


def learning(run: Run) -> None:
    """Curves and examples; nothing before the first epoch has ended."""
    folder = run.learning()
    columns = history_in(folder / HISTORY) if folder else {}
    if folder is None or not columns:
        return
    snapshots = run.snapshots(folder)
    left, right = st.columns([5, 6], gap="medium")
    with left:
        fold = re.fullmatch(r"fold-(\d+)", folder.name)
        which = f", fold {int(fold[1]) + 1}" if fold else ""
        st.markdown(f"**By epoch{which}**", help=HELP)
        st.plotly_chart(
            curve_chart(columns),
            key=f"learning-{run.id}",
            config={"displayModeBar": False},
            alt="Loss and accuracy by epoch of training",
        )
    with right:
        if snapshots:
            _examples(run, folder, snapshots)


def _examples(run: Run, folder: Path, snapshots: tuple[Snapshot, ...]) -> None:
    """The examples of an epoch, the last one's at first."""
    by_epoch = {one.epoch: one for one in snapshots}
    title = "Images that it does not learn from"
    if any(one.masks for one in snapshots):
        title += ": first as people drew it, then as it finds it"
    st.markdown(f"**{title}**")
    newest = snapshots[-1].epoch
    chosen = newest
    if len(by_epoch) > 1:
        chosen = st.segmented_control(
            "After epoch",
            list(by_epoch),
            default=newest,
            required=True,
            key=f"examples-{run.id}-{folder.name}-{newest}",  # a new one is shown at once
        )
    with st.container(key="learning-examples"), st.grid(ACROSS, min_column_width=170) as grid:
        for one in by_epoch[chosen].images:
            with grid.cell():
                try:
                    picture = (folder / "examples" / one.file).read_bytes()
                except OSError:  # made room for a later one meanwhile
                    continue
                st.image(picture, width="stretch", alt=one.name)
                sign = ":green[✓]" if one.right else ":red[✕]"
                said = f"{one.said}, {one.probability:.2f}"
                st.caption(f"{sign} " + plain(f"is {one.truth}, said {said}"))
