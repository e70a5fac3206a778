"""All lines at a glance: what each is judged with, and how good that was measured to be."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from defectvision.bundle.line import Line
from defectvision.bundle.reader import BundleError
from defectvision.bundle.schema import Metrics
from defectvision.bundle.words import METRICS
from defectvision.web.choices import bundle_names, loaded_bundle
from defectvision.words import counted, plain

FIGURES = ("auc", "macro_f1", "escapes", "overkills", "reviews")
NOTHING = "–"


def overview(lines: Sequence[Line]) -> None:
    """A row a line, with the figures of its default bundle on images that it has not learned
    from; nothing where there is one line alone."""
    if len(lines) < 2:
        return
    rows = [_row(line) for line in lines]
    st.table(
        {column: [row[column] for row in rows] for column in rows[0]},
        border="horizontal",
        hide_index=True,
        alt="All lines, with the figures of their default bundles",
    )
    st.caption("Figures of the default bundles. Choose a line on the left to see all of it.")


def _row(line: Line) -> dict[str, str]:
    others = len(bundle_names(line.name)) - 1
    default = plain(line.default_bundle) + (f" and {others} more" if others > 0 else "")
    metrics, measured = None, "not yet"
    try:
        found = loaded_bundle(line.name, line.default_bundle).bundle.metrics
    except BundleError:
        default, measured = "none that can be used", NOTHING
    else:
        metrics = next((one for one in found if not one.seen), None)
    if metrics is not None:
        measured = f"{counted(metrics.images, 'image')}, {counted(metrics.groups, 'photo group')}"
    return {
        "Line": plain(line.title),
        "Default bundle": default,
        "Measured on": measured,
        **{METRICS[name].title: _figure(metrics, name) for name in FIGURES},
    }


def _figure(metrics: Metrics | None, name: str) -> str:
    found = None if metrics is None else metrics.values.get(name)
    return NOTHING if found is None or found.value is None else f"{found.value:.3f}"
