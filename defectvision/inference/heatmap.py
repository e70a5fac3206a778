"""Turn evidence into colours: the same in the browser's viewer and in the exported picture.

Evidence has a sign, so it is drawn on a diverging scale that is the same distance on both sides of
zero: orange to red adds to the class, blue speaks against it, and nothing is drawn at zero. It is
drawn in shares of the decision, on one scale for all images, so that two parts can be compared. A
gradient heatmap has no sign and runs from nothing to yellow. Both orders of colour stay apart for
colour-blind eyes (blue against red-orange: ColorBrewer RdBu; the other: matplotlib's plasma).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from defectvision.bundle.rules import Zone
from defectvision.inference.frame import Frame
from defectvision.inference.probabilities import tempered

if TYPE_CHECKING:
    from defectvision.inference.inspection import Inspection
from defectvision.inference.zones import covered

Palette = Literal["signed", "unsigned"]
EXACT = "Exact evidence map"
CLASSLESS = ("EigenCAM",)  # the main component of the activations: no class enters into it
SURE = 0.99  # a decision leads from the probability 1 - SURE to SURE
SHOWN_APART = 5e-4  # probabilities that are shown as different numbers
FULL = 0.05  # of a decision: the share of one place at which its colour is full

# Position along the scale: red, green, blue, and how opaque (0 to 1) before the user's opacity.
_SIGNED = (
    (-1.0, 16, 62, 140, 0.95),
    (-0.6, 33, 113, 200, 0.88),
    (-0.25, 86, 166, 232, 0.55),
    (0.0, 200, 220, 240, 0.0),
    (0.0, 255, 226, 180, 0.0),
    (0.25, 255, 176, 66, 0.55),
    (0.6, 236, 96, 18, 0.88),
    (1.0, 172, 16, 22, 0.95),
)
_UNSIGNED = (
    (0.0, 60, 10, 140, 0.0),
    (0.25, 126, 3, 168, 0.45),
    (0.5, 204, 71, 120, 0.75),
    (0.75, 248, 149, 64, 0.88),
    (1.0, 240, 249, 33, 0.95),
)
STEPS = 512


def _table(stops: tuple[tuple[float, ...], ...]) -> NDArray[np.uint8]:
    """(STEPS, 4) uint8 RGBA, evenly over the scale."""
    at = np.array([stop[0] for stop in stops])
    # Equal positions (the two colours of zero) are kept in order by a hair's breadth.
    at = at + np.arange(len(at)) * 1e-9
    where = np.linspace(stops[0][0], stops[-1][0], STEPS)
    planes = [np.interp(where, at, [stop[i] for stop in stops]) for i in (1, 2, 3)]
    planes.append(np.interp(where, at, [stop[4] for stop in stops]) * 255)
    return np.rint(np.stack(planes, 1)).astype(np.uint8)


@dataclass(frozen=True)
class Heatmap:
    """One map over one image, with what is needed to draw it and to say what it means.

    values: (h, w) float32 on the model's grid, signed ones as shares of a decision; scale: the
    value at which colours are full; meaning: the two (signed) or one things that the colours say;
    unit: what the numbers are, in words; sums_to: the arithmetic behind them; zones: the policy's,
    of which those that it ignores are left without colour.
    """

    method: str
    class_name: str
    values: NDArray[np.float32]
    palette: Palette
    scale: float
    meaning: tuple[str, ...]
    unit: str
    sums_to: str
    zones: tuple[Zone, ...] = ()

    def colours(self, frame: Frame, longest: int) -> NDArray[np.uint8]:
        """(H, W, 4) uint8 RGBA for the inspected image, scaled to at most `longest` px."""
        small = frame.shrunk(longest)
        drawn = colourise(small.on_image(self.values), self.scale, self.palette)
        drawn[covered((zone for zone in self.zones if zone.ignored), small), 3] = 0
        return drawn


def decision_step(temperature: float) -> float:
    """The logit difference that takes a probability from 1 - SURE to SURE."""
    return 2 * math.log(SURE / (1 - SURE)) * temperature


def shares(evidence: NDArray[np.float32], temperature: float) -> NDArray[np.float32]:
    """What each place of `evidence` (h, w) adds to its class's logit, as a share of a decision;
    raises ValueError where a number is not finite."""
    if not np.isfinite(evidence).all():
        raise ValueError("the evidence holds numbers that are not finite; export the bundle again")
    return evidence / np.float32(evidence.size * decision_step(temperature))


def evidence_heatmap(
    inspection: Inspection,
    class_name: str,
    temperature: float = 1.0,
    zones: tuple[Zone, ...] = (),
) -> Heatmap:
    """The exact evidence for `class_name`, from the inspection alone; zones: the policy's."""
    index = inspection.line.class_names.index(class_name)
    title = inspection.line.classes[index].title
    evidence = inspection.evidence[index]
    mean, bias = float(evidence.mean()), float(inspection.evidence_bias[index])
    squash = "sigmoid" if inspection.line.label_mode == "multilabel" else "softmax over the classes"
    cooled = f" (temperature {temperature:.2f})" if abs(temperature - 1) > 0.005 else ""
    rows, columns = evidence.shape
    probability = inspection.probabilities[class_name]
    said, before = f"probability {probability:.3f}", ""
    plain = float(tempered(inspection.logits, temperature, inspection.line)[index])
    if abs(plain - probability) > SHOWN_APART:
        said, before = f"{plain:.3f}, calibrated on images held out: {said}", " before calibration"
    return Heatmap(
        method=EXACT,
        class_name=class_name,
        values=shares(evidence, temperature),
        palette="signed",
        scale=FULL,
        meaning=(f"adds to {title}", f"speaks against {title}"),
        unit=f"share of the decision that one place adds; full colour from {100 * FULL:g} % on",
        sums_to=(
            f"Mean of the evidence {_signed(mean)}, bias {_signed(bias)}: logit "
            f"{_signed(float(inspection.logits[index]))}; {squash}{cooled}: {said}. "
            f"A decision is the step of the logit from probability {100 * (1 - SURE):.0f} % to "
            f"{100 * SURE:.0f} %{before}, {decision_step(temperature):.2f}; a place's share is its "
            f"evidence, divided by it and by the {rows} × {columns} places."
        ),
        zones=zones,
    )


def gradient_heatmap(
    inspection: Inspection,
    class_name: str,
    method: str,
    values: NDArray[np.float32],
    zones: tuple[Zone, ...] = (),
) -> Heatmap:
    """A gradient method's map (h, w) in 0..1; it says where, not how much. zones: the policy's."""
    title = inspection.line.classes[inspection.line.class_names.index(class_name)].title
    said, meaning = "", f"matters for {title}"
    if method in CLASSLESS:
        meaning = "what the network looked at, whatever the class"
        said = (
            " It is the main pattern of the activations: the chosen class does not enter into it."
        )
    return Heatmap(
        method=method,
        class_name=class_name,
        values=values,
        palette="unsigned",
        scale=1.0,
        meaning=(meaning,),
        unit="scaled to this image, no unit",
        sums_to=(
            f"{method} is scaled to this image, from 0 to 1: it shows where, not how much, and "
            f"adds up to nothing.{said}"
        ),
        zones=zones,
    )


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")


_TABLES: dict[Palette, NDArray[np.uint8]] = {
    "signed": _table(_SIGNED),
    "unsigned": _table(_UNSIGNED),
}


def colourise(
    values: NDArray[np.float32], scale: float = 1.0, palette: Palette = "signed"
) -> NDArray[np.uint8]:
    """(H, W) values to (H, W, 4) uint8 RGBA, straight alpha; beyond +-`scale` colours stay full."""
    if scale <= 0:
        raise ValueError(f"scale is {scale}; it must be above 0")
    low = -scale if palette == "signed" else 0.0
    index = (np.clip(values, low, scale) - low) / (scale - low) * (STEPS - 1)
    return _TABLES[palette][np.rint(index).astype(np.intp)]


def legend_colours(palette: Palette, count: int = 33) -> list[tuple[int, int, int, float]]:
    """`count` colours (red, green, blue, opacity 0..1) from the scale's low to its high end."""
    table = _TABLES[palette][np.rint(np.linspace(0, STEPS - 1, count)).astype(int)]
    return [(int(r), int(g), int(b), round(int(a) / 255, 3)) for r, g, b, a in table]


def ticks(scale: float, palette: Palette = "signed") -> list[float]:
    """The numbers written beside the legend, from low to high."""
    return [-scale, -scale / 2, 0.0, scale / 2, scale] if palette == "signed" else [0.0, 0.5, 1.0]


def tick_text(value: float, palette: Palette = "signed") -> str:
    """A tick as people read it: shares in per cent with a sign on both sides of zero."""
    if palette == "unsigned" or value == 0:
        return f"{value:g}"
    return f"{100 * value:+.3g} %".replace("-", "−")


def lay_over(
    image: NDArray[np.uint8], colours: NDArray[np.uint8], opacity: float = 1.0
) -> NDArray[np.uint8]:
    """`image` (H, W) or (H, W, 3) with RGBA `colours` (any size) drawn over it: (H, W, 3) RGB."""
    base = image if image.ndim == 3 else cv2.cvtColor(image, cv2.COLOR_GRAY2RGB)
    height, width = base.shape[:2]
    weight = colours[:, :, 3:].astype(np.float32) / 255
    # Colours are weighted before they are resized: a transparent pixel's colour must not show.
    layer = np.concatenate([colours[:, :, :3] * weight, weight], 2)
    if layer.shape[:2] != (height, width):
        layer = cv2.resize(layer, (width, height), interpolation=cv2.INTER_LINEAR)
    mixed = base * (1 - opacity * layer[:, :, 3:]) + opacity * layer[:, :, :3]
    return np.rint(mixed).astype(np.uint8)
