"""The annotated picture: the image with its heatmap and masks, and below it what was decided and
by what."""

from __future__ import annotations

import io

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from defectvision.bundle.line import NO_DEFECT
from defectvision.bundle.policy import (
    ACCEPT_BELOW,
    NO_ACCEPTING,
    REJECT_FROM,
    Policy,
    beside_thresholds,
)
from defectvision.bundle.schema import LoadedBundle
from defectvision.inference.heatmap import (
    Heatmap,
    evidence_heatmap,
    lay_over,
    legend_colours,
    tick_text,
    ticks,
)
from defectvision.inference.inspection import Inspection
from defectvision.inference.masks import mask_of
from defectvision.inference.regions import Cut, Region
from defectvision.report.looks import INK, LOOKS, SOFT, SYNTHETIC, is_a_guess
from defectvision.words import capital, counted

LONGEST, SHORTEST = 3000, 720  # px of the picture's longer side
PAPER = "#ffffff"
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont


def annotated_png(
    image: NDArray[np.uint8],
    inspection: Inspection,
    policy: Policy,
    loaded: LoadedBundle,
    heatmap: Heatmap | None = None,
    *,
    class_name: str | None = None,
    synthetic: bool = False,
    opacity: float = 0.7,
) -> bytes:
    """A PNG of `image` (H, W) or (H, W, 3) uint8 with `heatmap` and the masks over it and a caption
    below.

    Without `heatmap` the exact evidence of `class_name` is drawn, or that of the label. Images
    above LONGEST px are scaled down and those below SHORTEST up, so that the caption is legible
    beside any of them; the caption then says so.
    """
    if heatmap is None:
        named = class_name or inspection.main_class(policy)
        heatmap = evidence_heatmap(inspection, named, loaded.bundle.temperature, policy.zones)
    cut = inspection.cut(policy)
    picture = overlaid(image, inspection, cut, heatmap, opacity)
    regions = cut.regions
    caption = _caption(picture.shape[1], inspection, policy, loaded, heatmap, synthetic, regions)
    width = max(picture.shape[1], caption.width)
    sheet = Image.new("RGB", (width, picture.shape[0] + caption.height), PAPER)
    sheet.paste(Image.fromarray(picture), ((sheet.width - picture.shape[1]) // 2, 0))
    sheet.paste(caption, (0, picture.shape[0]))
    note = PngInfo()
    note.add_text("Software", "DefectVision")
    note.add_itxt("Title", inspection.name)
    if synthetic:
        note.add_text("Comment", SYNTHETIC)
    out = io.BytesIO()
    sheet.save(out, "PNG", pnginfo=note)
    return out.getvalue()


def overlaid(
    image: NDArray[np.uint8],
    inspection: Inspection,
    cut: Cut,
    heatmap: Heatmap,
    opacity: float = 0.7,
) -> NDArray[np.uint8]:
    """`image` with `heatmap` and the areas of `cut` over it, (h, w, 3) uint8 RGB, its longer side
    between SHORTEST and LONGEST px."""
    picture = _resized(image)
    # Under outlines the heatmap stays in the background.
    faint = 0.6 if cut.classes else 1.0
    picture = lay_over(picture, heatmap.colours(inspection.frame, LONGEST), opacity * faint)
    return _outlined(picture, inspection, cut)


def _resized(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    longer = max(image.shape[:2])
    factor = min(1.0, LONGEST / longer) if longer > SHORTEST else SHORTEST / longer
    if factor == 1:
        return image
    size = (max(1, round(image.shape[1] * factor)), max(1, round(image.shape[0] * factor)))
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    return cv2.resize(image, size, interpolation=how)


def _caption(
    width: int,
    inspection: Inspection,
    policy: Policy,
    loaded: LoadedBundle,
    heatmap: Heatmap,
    synthetic: bool,
    regions: tuple[Region, ...],
) -> Image.Image:
    """The strip below the picture, at least SHORTEST px wide."""
    width = max(width, SHORTEST)
    unit = width / 60  # the caption grows with the picture
    sheet = Image.new(
        "RGB", (width, int((13.2 + 0.8 * (inspection.masks is not None)) * unit)), PAPER
    )
    draw = ImageDraw.Draw(sheet)
    big = ImageFont.load_default(round(2.1 * unit))
    text = ImageFont.load_default(round(1.15 * unit))
    verdict = inspection.verdict(policy)
    x, y = 1.2 * unit, 1.0 * unit

    word = verdict.value.upper()
    wide = draw.textlength(word, big)
    box = (x, y, x + wide + 2.4 * unit, y + 3.4 * unit)
    draw.rounded_rectangle(box, 0.4 * unit, LOOKS[verdict].hex)
    draw.text((x + 1.2 * unit, y + 1.7 * unit), word, PAPER, big, anchor="lm")
    said = _fitted(draw, _named(inspection, policy), big, width - box[2] - 14 * unit)
    draw.text((box[2] + 1.4 * unit, y + 1.7 * unit), said, INK, big, anchor="lm")
    if synthetic:
        mark = SYNTHETIC.upper()
        left = width - 1.2 * unit - draw.textlength(mark, text) - 1.6 * unit
        frame = (left, y + 0.5 * unit, width - 1.2 * unit, y + 2.9 * unit)
        draw.rounded_rectangle(frame, 0.4 * unit, outline=INK, width=max(1, round(0.12 * unit)))
        draw.text((left + 0.8 * unit, y + 1.7 * unit), mark, INK, text, anchor="lm")

    height, across = inspection.image_size
    measured = [_regions_line(regions, policy)] if inspection.masks is not None else []
    lines = [
        *measured,
        _policy_line(inspection, policy),
        f"{_plain(inspection.name)}  ({across} x {height} px)",
        f"Line {loaded.line.name}, bundle {loaded.bundle.name}, version {loaded.version}",
    ]
    y += (4.6 - 0.7 * len(measured)) * unit
    for line in lines:
        draw.text((x, y), _fitted(draw, line, text, 0.58 * width), SOFT, text)
        y += (1.75 - 0.2 * len(measured)) * unit
    _legend(sheet, draw, heatmap, (0.62 * width, 5.6 * unit, width - 1.2 * unit), unit)
    small = ImageFont.load_default(round(unit))
    note = _fitted(draw, f"{heatmap.method}: {heatmap.unit}", small, width - 2.4 * unit)
    draw.text((x, (11.1 + 0.8 * len(measured)) * unit), note, SOFT, small)
    return sheet


def _outlined(picture: NDArray[np.uint8], inspection: Inspection, cut: Cut) -> NDArray[np.uint8]:
    """`picture` (H, W, 3), of the image in any size, with each class's mask filled and outlined."""
    height, width = picture.shape[:2]
    thick = max(1, round(max(height, width) / 700))
    for areas, _ in cut.classes:
        mask = mask_of(areas, inspection.image_size).astype(np.uint8)
        # Not nearest: a region of a few px must not vanish from a picture that is scaled down.
        how = cv2.INTER_LINEAR if height >= mask.shape[0] else cv2.INTER_AREA
        cover = cv2.resize(mask.astype(np.float32), (width, height), interpolation=how)
        on = (cover >= 0.5 if height >= mask.shape[0] else cover > 0.15).astype(np.uint8)
        colour = np.array(_colour(inspection, areas.class_name), np.float32)
        inside = on > 0
        picture = picture.copy()
        picture[inside] = np.rint(0.65 * picture[inside] + 0.35 * colour).astype(np.uint8)
        outlines, _ = cv2.findContours(on, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        cv2.drawContours(picture, outlines, -1, colour.tolist(), thick, cv2.LINE_AA)
    return picture


def _colour(inspection: Inspection, class_name: str) -> tuple[int, int, int]:
    red, green, blue = ImageColor.getrgb(inspection.line.colour_of(class_name))[:3]
    return red, green, blue


def _named(inspection: Inspection, policy: Policy) -> str:
    """Why there can be no verdict, else the labels and their probabilities."""
    if inspection.objections:
        return _plain(capital(inspection.objection))
    labels, title_of = inspection.labels(policy), inspection.line.title_of
    named = [f"{_plain(title_of(n))}  {inspection.probabilities[n]:.3f}" for n in labels]
    said = ", ".join(named) or NO_DEFECT
    return f"most probable: {said}" if is_a_guess(inspection, policy) else said


def _regions_line(regions: tuple[Region, ...], policy: Policy) -> str:
    """How many regions, the largest one's size, and the numbers that they were cut by."""
    least = f"smallest {policy.smallest_region_px} px" if policy.smallest_region_px else ""
    if not regions:
        return f"No region{f' ({least})' if least else ''}"
    top = regions[0]
    size = f"{top.area_px} px, {top.length_px:.0f} x {top.width_px:.0f} px"
    if policy.mm_per_px is not None:
        size = f"{top.area_mm2:.4g} mm2, {top.length_mm:.3g} x {top.width_mm:.3g} mm"
    said = f"{counted(len(regions), 'region')}, the largest {size}"
    return ", ".join(filter(None, (said, least)))


def _policy_line(inspection: Inspection, policy: Policy) -> str:
    if inspection.defect_score is None:
        return f"This line {NO_ACCEPTING}"
    broken = [_plain(words) for words in inspection.broken_in_words(policy)]
    if policy.rules and not policy.score_decides:
        return "; ".join(broken) or "No rule is broken, and the rules alone decide"
    score, low, high = beside_thresholds(inspection.defect_score, policy)
    said = f"Defect score {score}: {ACCEPT_BELOW} {low}, {REJECT_FROM} {high}"
    return "; ".join([*broken, said])


def _legend(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    heatmap: Heatmap,
    place: tuple[float, float, float],
    unit: float,
) -> None:
    """A colour bar from `place` = (left, top, right), its numbers and what they mean."""
    left, top, right = (round(v) for v in place)
    tall = max(6, round(1.3 * unit))
    bar = np.full((tall, right - left, 3), 190, np.uint8)
    stops = np.array(legend_colours(heatmap.palette, right - left))
    share = stops[None, :, 3:]
    bar = np.rint(bar * (1 - share) + stops[None, :, :3] * share).astype(np.uint8)
    sheet.paste(Image.fromarray(bar), (left, top))
    draw.rectangle((left, top, right, top + tall), outline=SOFT)
    font = ImageFont.load_default(round(unit))
    numbers = ticks(heatmap.scale, heatmap.palette)
    for i, value in enumerate(numbers):
        at = left + (right - left) * i / (len(numbers) - 1)
        anchor = "la" if i == 0 else "ra" if i == len(numbers) - 1 else "ma"
        words = _plain(tick_text(value, heatmap.palette))
        draw.text((at, top + tall + 0.35 * unit), words, SOFT, font, anchor=anchor)
    ends = heatmap.meaning[::-1]
    anchors = (("ls", left), ("rs", right)) if len(ends) == 2 else (("rs", right),)
    for words, (anchor, at) in zip(ends, anchors, strict=True):
        draw.text((at, top - 0.35 * unit), _plain(words), INK, font, anchor=anchor)


def _plain(text: str) -> str:
    """Only what the built-in typeface can draw: printable ASCII."""
    text = text.replace("−", "-")
    return "".join(c if " " <= c <= "~" else "?" for c in text)


def _fitted(draw: ImageDraw.ImageDraw, text: str, font: Font, room: float) -> str:
    """`text`, its end replaced by dots where it is longer than `room` px."""
    text = _plain(text)
    if draw.textlength(text, font) <= room:
        return text
    while text and draw.textlength(text + "...", font) > room:
        text = text[: max(0, min(len(text) - 1, int(len(text) * 0.97)))]
    return text + "..."
