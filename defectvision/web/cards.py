"""Verdicts, probabilities and facts as the pages show them. All text from outside is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from typing import Literal

from defectvision.bundle.line import Line
from defectvision.bundle.policy import FOREIGN, Policy, Verdict
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.heatmap import EXACT as EXACT
from defectvision.inference.inspection import Inspection
from defectvision.web.viewer.layers import unmasked

SYNTHETIC_MARK = "Synthetic sample"
NO_DEFECT = "No defect"  # what a part without any label is called


@dataclass(frozen=True)
class Look:
    """How a verdict is shown: always a word, an icon and a colour together."""

    word: str
    icon: str
    sign: str
    colour: Literal["green", "orange", "red", "gray"]
    hex: str


LOOKS = {
    Verdict.ACCEPT: Look("Accept", ":material/check_circle:", "✓", "green", "#17734a"),
    Verdict.REVIEW: Look("Review", ":material/help:", "?", "orange", "#b04a00"),
    Verdict.REJECT: Look("Reject", ":material/cancel:", "✕", "red", "#b3261e"),
}
NOT_INSPECTED = Look("Not inspected", ":material/broken_image:", "–", "gray", "#56616c")

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()<>#+\-.!|~:$&^=\"'@/])")


def plain(text: str) -> str:
    """`text` for a place that reads Markdown, so that it shows exactly as it is."""
    return _MARKDOWN.sub(r"\\\1", " ".join(text.split()))


def caution_of(loaded: LoadedBundle) -> str:
    """What a user of the bundle must know first, in Markdown; empty where there is nothing."""
    return (loaded.bundle.provenance.get("recipe") or {}).get("caution", "")


def duration(seconds: float) -> str:
    """A time to wait, in words."""
    if seconds < 90:
        return f"{max(1, seconds):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def tile_label(look: Look) -> str:
    return f":{look.colour}[{look.icon} {look.word}]"


def class_title(line: Line, name: str) -> str:
    return next(c.title for c in line.classes if c.name == name)


def label_title(inspection: Inspection, policy: Policy) -> str:
    """The labels as people read them."""
    titles = [class_title(inspection.line, name) for name in inspection.labels(policy)]
    return ", ".join(titles) or NO_DEFECT


def probability_bars(inspection: Inspection) -> str:
    """HTML: one bar per class, the most probable first, each in its class's colour."""
    colours = {c.name: c.colour for c in inspection.line.classes}
    rows = []
    for name, p in inspection.ranking():
        title = escape(class_title(inspection.line, name))
        rows.append(
            f'<div style="display:grid;grid-template-columns:minmax(0,1fr) 3.6em;'
            f'column-gap:.6em;align-items:baseline">'
            f'<span style="overflow-wrap:anywhere">{title}</span>'
            f'<span style="text-align:right;font-variant-numeric:tabular-nums">{p:.3f}</span>'
            f'<div style="grid-column:1/-1;height:.5em;border-radius:2px;'
            f'background:color-mix(in srgb,currentColor 13%,transparent)">'
            f'<div style="width:{max(p, 0.004) * 100:.1f}%;height:100%;border-radius:2px;'
            f'background:{colours[name]}"></div></div></div>'
        )
    body = "".join(rows)
    return (
        '<div class="dv-bars" style="display:flex;flex-direction:column;gap:.4em;font-size:.9rem" '
        f'role="group" aria-label="Probability of each class">{body}</div>'
    )


def heading(name: str, note: str = "") -> str:
    """HTML: the name of the open image on at most two lines, all of it in the tooltip."""
    after = f'<span style="opacity:.75;font-size:.85rem">{escape(note)}</span>' if note else ""
    return (
        f'<div class="dv-name" title="{escape(name, quote=True)}" style="font-weight:600;'
        "overflow-wrap:anywhere;display:-webkit-box;-webkit-line-clamp:2;"
        f'-webkit-box-orient:vertical;overflow:hidden">{escape(name)}</div>{after}'
    )


def facts(rows: Iterable[tuple[str, str]], align: Literal["left", "right"] = "right") -> str:
    """HTML: a dense list of names and values."""
    cells = "".join(
        f'<dt style="opacity:.75">{escape(name)}</dt>'
        f'<dd style="margin:0;text-align:{align};font-variant-numeric:tabular-nums;'
        f'overflow-wrap:anywhere">{escape(value)}</dd>'
        for name, value in rows
    )
    return (
        '<dl class="dv-facts" style="display:grid;grid-template-columns:auto minmax(0,1fr);'
        f'gap:.15em 1em;margin:0;padding:0;font-size:.85rem">{cells}</dl>'
    )


def inspection_facts(inspection: Inspection, class_name: str) -> list[tuple[str, str]]:
    """What is worth knowing beside the scores, with units."""
    height, width = inspection.image_size
    ms = inspection.milliseconds
    rows = []
    inside = inspection.evidence_inside(class_name)
    if inspection.part_found:
        share = "none" if inside is None else f"{inside:.0%} on the part"
        rows.append(("Positive evidence", share))
    rows += [
        ("Foreign score", f"{inspection.foreign_score:.2f} (limit {FOREIGN:g})"),
        ("Image", f"{width} × {height} px"),
        ("Time", f"{ms.total:.0f} ms (model {ms.model:.0f}), decoding {ms.decode:.0f} ms"),
    ]
    return rows


def colour_swatches(line: Line) -> str:
    """HTML: the classes of a line with their colours and kinds."""
    items = "".join(
        f'<span style="display:inline-flex;align-items:center;gap:.4em">'
        f'<i style="width:.85em;height:.85em;border-radius:2px;background:{c.colour}"></i>'
        f"{escape(c.title)}"
        f'<span style="opacity:.7">({escape(c.name)}, {"good" if c.kind == "ok" else "defect"})'
        "</span></span>"
        for c in line.classes
    )
    return f'<div style="display:flex;flex-wrap:wrap;gap:.4em 1.4em">{items}</div>'


def empty_state(line: Line, loaded: LoadedBundle, failed: bool) -> None:
    """What to do while there is nothing to show."""
    import streamlit as st

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
    if not unmasked(loaded.line, masked):
        return ", with its defects outlined and measured"
    drawn = ", ".join(c.title for c in loaded.line.classes if c.name in masked)
    return f", with these outlined and measured: {drawn}"
