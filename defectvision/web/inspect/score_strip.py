"""The defect scores of a session's images along one axis."""

from __future__ import annotations

from collections.abc import Sequence

from defectvision.bundle.policy import Policy, Verdict, beside_thresholds
from defectvision.report.looks import LOOKS

SHAPES = {
    Verdict.ACCEPT: "border-radius:50%;",
    Verdict.REVIEW: "transform:rotate(45deg);",
    Verdict.REJECT: "",
}


def score_strip(
    scores: Sequence[tuple[float, Verdict]], policy: Policy, opened: int | None = None
) -> str:
    """HTML: defect scores (0..1, verdict) along one axis, with the policy's three zones.

    Drawn without Plotly, whose code would have to arrive before the first threshold can be moved.
    Points are spread over the height by their order, so that equal scores stay apart; the shape
    says the verdict, too. `opened` is the place of the open image.
    """
    shown = [
        f'<div style="position:absolute;inset:0 {(1 - high) * 100:.3f}% 0 {low * 100:.3f}%;'
        f'background:color-mix(in srgb,{LOOKS[verdict].hex} 20%,transparent)"></div>'
        for low, high, verdict in policy.bands
    ]
    for place, (score, verdict) in enumerate(scores):
        height = 12 + 76 * ((place * 0.618034) % 1)
        ring = "box-shadow:0 0 0 2px currentColor;z-index:1;" if place == opened else ""
        said = beside_thresholds(score, policy)[0]
        shown.append(
            f'<i title="defect score {said}" style="position:absolute;left:{score * 100:.2f}%;'
            f"top:{height:.1f}%;width:9px;height:9px;margin:-5px;{SHAPES[verdict]}{ring}"
            f'background:{LOOKS[verdict].hex}"></i>'
        )
    numbers = "".join(f"<span>{v:g}</span>" for v in (0, 0.25, 0.5, 0.75, 1))
    return (
        '<div class="dv-scores" role="img" style="padding:0 6px;font-size:.8rem" '
        'aria-label="Defect scores of all images, with the two thresholds">'
        f'<div style="position:relative;height:84px">{"".join(shown)}</div>'
        '<div style="display:flex;justify-content:space-between;opacity:.8;'
        f'font-variant-numeric:tabular-nums">{numbers}</div>'
        '<div style="text-align:center;opacity:.8">defect score</div></div>'
    )
