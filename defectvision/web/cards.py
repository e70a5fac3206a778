"""Verdicts, probabilities and facts as the pages show them. All text from outside is escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape
from typing import Literal

from defectvision.bundle.line import Line
from defectvision.inference.gate import LIMIT
from defectvision.inference.inspection import Inspection


def probability_bars(inspection: Inspection) -> str:
    """HTML: one bar per class, the most probable first, each in its class's colour."""
    line, rows = inspection.line, []
    for name, p in inspection.ranking():
        title = escape(line.title_of(name))
        rows.append(
            f'<div style="display:grid;grid-template-columns:minmax(0,1fr) 3.6em;'
            f'column-gap:.6em;align-items:baseline">'
            f'<span style="overflow-wrap:anywhere">{title}</span>'
            f'<span style="text-align:right;font-variant-numeric:tabular-nums">{p:.3f}</span>'
            f'<div style="grid-column:1/-1;height:.5em;border-radius:2px;'
            f'background:color-mix(in srgb,currentColor 13%,transparent)">'
            f'<div style="width:{max(p, 0.004) * 100:.1f}%;height:100%;border-radius:2px;'
            f'background:{line.colour_of(name)}"></div></div></div>'
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
        ("Unlike the training images", f"{inspection.foreign_score:.2f} (limit {LIMIT:g})"),
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
