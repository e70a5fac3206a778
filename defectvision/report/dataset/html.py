"""The Dataset page as one HTML file that opens anywhere, without a network."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import plotly.graph_objects as go

STYLE = """
:root{color-scheme:light dark;--text:#1b232b;--muted:#56616c;--line:#d3dae0;--back:#fff;
--warn:#fdf3e7}
@media(prefers-color-scheme:dark){:root{--text:#e3e8ec;--muted:#9aa6b1;--line:#38424b;
--back:#14181c;--warn:#33281a}}
body{font:15px/1.45 system-ui,sans-serif;margin:0 auto;max-width:1180px;padding:24px;
color:var(--text);background:var(--back)}
h1{font-size:1.6rem;margin:0}h2{font-size:1.2rem;border-bottom:1px solid var(--line);
padding-bottom:4px;margin-top:2em}
.about{color:var(--muted)}.grid{display:grid;grid-template-columns:repeat(auto-fit,minmax(480px,1fr));
gap:16px 28px}
figure{margin:0;min-width:0}figcaption{color:var(--muted);font-size:.93rem}
.warn{background:var(--warn);padding:8px 12px;border-radius:4px;margin:6px 0}
table{border-collapse:collapse;font-size:.9rem}td,th{padding:3px 12px 3px 0;text-align:left;
border-bottom:1px solid var(--line);overflow-wrap:anywhere}
"""
# The figures have no background of their own; their letters follow the reader's theme. The first
# ones were drawn while they stood alone, on the whole width.
THEME = """
const dark=matchMedia('(prefers-color-scheme: dark)').matches;
document.querySelectorAll('.plotly-graph-div').forEach(d=>Plotly.relayout(d,
{'font.color':dark?'#e3e8ec':'#1b232b'}).then(()=>Plotly.Plots.resize(d)));
"""


def dataset_html(
    name: str,
    subtitle: str,
    warnings: Iterable[str],
    sections: Sequence[tuple[str, Sequence[tuple[go.Figure, str]]]],
    tables: Sequence[tuple[str, str, Sequence[str], Sequence[Sequence[object]]]] = (),
    kind: str = "data report",
) -> str:
    """One self-contained file; `kind` says what it is. `sections` are (title, [(figure,
    sentence)]), `tables` are (title, sentence, column names, rows). All text is escaped; Plotly
    stands inside the file once."""
    import plotly.graph_objects as go
    import plotly.io as pio
    from plotly.offline import get_plotlyjs

    parts = []
    for title, blocks in sections:
        parts.append(f"<section><h2>{escape(title)}</h2><div class=grid>")
        for figure, sentence in blocks:
            shown = go.Figure(figure)
            shown.update_layout(
                template="plotly_white", paper_bgcolor="rgba(0,0,0,0)", plot_bgcolor="rgba(0,0,0,0)"
            )
            chart = pio.to_html(
                shown, include_plotlyjs=False, full_html=False,
                config={"displaylogo": False, "responsive": True},
            )  # fmt: skip
            parts.append(f"<figure>{chart}<figcaption>{escape(sentence)}</figcaption></figure>")
        parts.append("</div></section>")
    for title, sentence, columns, rows in tables:
        head = "".join(f"<th>{escape(c)}</th>" for c in columns)
        body = "".join(
            "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>"
            for row in rows
        )
        parts.append(
            f"<section><h2>{escape(title)}</h2><p class=about>{escape(sentence)}</p>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></section>"
        )
    said = "".join(f"<div class=warn>{escape(text)}</div>" for text in warnings)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8>"
        '<meta name=viewport content="width=device-width">'
        f"<title>{escape(name)}: {escape(kind)}</title><style>{STYLE}</style>"
        f"<script>{get_plotlyjs()}</script>"
        f"<h1>{escape(name)}: {escape(kind)}</h1><p class=about>{escape(subtitle)}</p>{said}"
        f"{''.join(parts)}<script>{THEME}</script></html>"
    )
