"""The report that someone signs: counts, Pareto, table and pictures of the rejected as a PDF.

The same inspections under the same policy give the same bytes: no moment of writing is in it.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PilImage
from reportlab.graphics.shapes import Drawing, Rect, String
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    Image,
    KeepTogether,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from defectvision.bundle.policy import Policy, Verdict, in_words
from defectvision.bundle.schema import Origin
from defectvision.inference.judged import Judged
from defectvision.report import looks
from defectvision.report.looks import SYNTHETIC
from defectvision.words import counted

MOST_ROWS = 500
MOST_PICTURES = 24
WIDE = 1.6  # width over height from which a picture takes the whole width
MARGIN = 18 * mm
INNER = A4[0] - 2 * MARGIN
INK, SOFT, RULE = HexColor(looks.INK), HexColor(looks.SOFT), HexColor(looks.RULE)
COLOURS = {verdict: HexColor(look.hex) for verdict, look in looks.LOOKS.items()}
# reportlab's own copy of Bitstream Vera is embedded, so that any reader shows the same page.
FONT, BOLD = "Vera", "VeraBd"
BODY = ParagraphStyle("body", fontName=FONT, fontSize=8.5, leading=11.5, textColor=INK)
CELL = ParagraphStyle("cell", BODY, fontSize=7, leading=8.8, wordWrap="CJK")
SMALL = ParagraphStyle("small", BODY, fontSize=7, leading=9, textColor=SOFT)
HEAD = ParagraphStyle("head", BODY, fontName=BOLD, fontSize=11, leading=15, spaceAfter=4)
TITLE = ParagraphStyle("title", BODY, fontName=BOLD, fontSize=18, leading=23, spaceAfter=2)

J = TypeVar("J", bound=Judged)


@dataclass(frozen=True)
class Subject:
    """What a report is about.

    batch: its title; made: when the images were inspected, as text; selection: the filter in
    words; policy_version: which saved policy this is, as text; failed: files that could not be
    inspected; synthetic: names of images that the program drew.
    """

    batch: str
    made: str
    selection: str
    policy_version: str
    failed: int = 0
    synthetic: frozenset[str] = frozenset()


def data_hash(inspections: Sequence[Judged], policy: Policy, origin: Origin) -> str:
    """SHA-256 of all scores that a report is made from, with the policy and the bundle."""
    digest = hashlib.sha256()
    head = [origin.line.name, origin.bundle, origin.version, policy.model_dump(mode="json")]
    digest.update(json.dumps(head, sort_keys=True).encode())
    for found in inspections:
        scores = found.defect_score, found.foreign_score, dict(found.probabilities)
        row = [found.name, *scores, *([found.objection] if found.objections else [])]
        digest.update(json.dumps(row, sort_keys=True).encode())
    return digest.hexdigest()


def report_pdf(
    inspections: Sequence[J],
    policy: Policy,
    origin: Origin,
    subject: Subject,
    picture: Callable[[J], NDArray[np.uint8] | None],
) -> bytes:
    """The report of `inspections` under `policy`, on A4.

    The table lists what was not accepted, at most MOST_ROWS; pictures show the rejected with the
    highest scores, at most MOST_PICTURES. picture: gives an image with its overlays as (H, W, 3)
    uint8, or None where the image was not kept.
    """
    for name in (FONT, BOLD):
        if name not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))
    digest = data_hash(inspections, policy, origin)
    verdicts = [found.verdict(policy) for found in inspections]
    out = io.BytesIO()
    document = BaseDocTemplate(
        out,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        invariant=1,
        title=f"Inspection report: {subject.batch}",
        author="DefectVision",
        pageCompression=1,
    )
    frame = Frame(MARGIN, MARGIN, INNER, A4[1] - 2 * MARGIN, 0, 0, 0, 0)

    def foot(canvas: Canvas, page: BaseDocTemplate) -> None:
        canvas.setFont(FONT, 6.5)
        canvas.setFillColor(SOFT)
        canvas.drawString(MARGIN, MARGIN / 2, f"Data SHA-256 {digest}")
        canvas.drawRightString(A4[0] - MARGIN, MARGIN / 2, f"Page {page.page}")

    document.addPageTemplates(PageTemplate(frames=[frame], onPage=foot))
    story = [
        *_cover(inspections, verdicts, policy, origin, subject, digest),
        *_pareto(inspections, verdicts, policy, origin),
        *_signatures(),
        PageBreak(),
        *_listed(inspections, verdicts, policy, origin, subject),
        *_pictures(inspections, verdicts, policy, origin, picture, subject),
    ]
    document.build(story)
    return out.getvalue()


def _cover(
    inspections: Sequence[Judged],
    verdicts: Sequence[Verdict],
    policy: Policy,
    origin: Origin,
    subject: Subject,
    digest: str,
) -> Iterator[Flowable]:
    yield Paragraph("Inspection report", TITLE)
    yield Paragraph(_shown(subject.batch), HEAD)
    if subject.synthetic:
        drawn = counted(
            len(subject.synthetic), f"image is a {SYNTHETIC}", f"images are {SYNTHETIC}s"
        )
        yield Paragraph(f"{drawn}.", BODY)
    counts = Counter(verdicts)
    total = len(inspections)
    accept = counts[Verdict.ACCEPT]
    decided = accept + counts[Verdict.REJECT]
    numbers = [("Inspected", total, INK)]
    shown = looks.verdicts_of(origin.line)
    numbers += [(looks.LOOKS[v].word, counts[v], COLOURS[v]) for v in shown]
    cells = [
        [Paragraph(f'<font name="{BOLD}" size="17" color="{colour.hexval().replace("0x", "#")}">'
                   f"{count}</font>", ParagraphStyle("n", BODY, leading=21))
         for _, count, colour in numbers],
        [Paragraph(f"{word}{_share(count, total) if word != 'Inspected' else ''}", SMALL)
         for word, count, _ in numbers],
    ]  # fmt: skip
    tiles = Table(cells, colWidths=[INNER / len(numbers)] * len(numbers))
    tiles.setStyle(TableStyle([("BOX", (0, 0), (-1, -1), 0.6, RULE),
                               ("INNERGRID", (0, 0), (-1, -1), 0, RULE),
                               ("LINEAFTER", (0, 0), (-2, -1), 0.6, RULE)]))  # fmt: skip
    yield Spacer(0, 4 * mm)
    yield tiles
    yield Spacer(0, 5 * mm)
    judged_by = in_words(policy, origin.line, origin.mask_classes)
    unread = counted(subject.failed, "file could not be read", "files could not be read")
    facts = [
        ("Inspected", subject.made),
        ("Selection", subject.selection),
        ("Line", f"{origin.line.title} ({origin.line.name})"),
        ("Bundle", f"{origin.bundle}, version {origin.version}"),
        ("Policy", f"{subject.policy_version}: {judged_by}"),
        ("Not inspected", unread),
        ("Data SHA-256", digest),
    ]
    if decided and origin.line.can_accept:
        parts = f"{counted(decided, 'part')} with a verdict of accept or reject"
        facts.insert(2, ("Yield", f"{accept / decided:.1%} of {parts}"))
    rows = [[Paragraph(name, SMALL), Paragraph(_shown(text), CELL)] for name, text in facts]
    table = Table(rows, colWidths=[32 * mm, INNER - 32 * mm])
    table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"),
                               ("LINEBELOW", (0, 0), (-1, -1), 0.4, RULE),
                               ("TOPPADDING", (0, 0), (-1, -1), 2),
                               ("BOTTOMPADDING", (0, 0), (-1, -1), 3)]))  # fmt: skip
    yield table


def _pareto(
    inspections: Sequence[Judged], verdicts: Sequence[Verdict], policy: Policy, origin: Origin
) -> Iterator[Flowable]:
    """Defects by class among the rejected, the most frequent first, with the running share."""
    defects = {c.name: c for c in origin.line.classes if c.kind == "defect"}
    counts = Counter(
        name
        for found, verdict in zip(inspections, verdicts, strict=True)
        if verdict == Verdict.REJECT
        for name in found.labels(policy)
        if name in defects
    )
    yield Spacer(0, 6 * mm)
    if not counts:
        yield Paragraph("Defects by class", HEAD)
        yield Paragraph("No part was rejected.", BODY)
        return
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    step, left, bar = 6.2 * mm, 42 * mm, INNER - 92 * mm
    drawing = Drawing(INNER, step * len(ranked))
    total, running = sum(counts.values()), 0
    for i, (name, count) in enumerate(ranked):
        y, running = step * (len(ranked) - 1 - i), running + count
        title = _covered(defects[name].title)
        drawing.add(String(left - 3 * mm, y + 1.6 * mm, title[:26], fontName=FONT, fontSize=8,
                           fillColor=INK, textAnchor="end"))  # fmt: skip
        drawing.add(Rect(left, y + 0.8 * mm, bar * count / ranked[0][1], step - 1.8 * mm,
                         fillColor=HexColor(defects[name].colour), strokeColor=None))  # fmt: skip
        words = f"{count}  {count / total:.0%}, together {running / total:.0%}"
        drawing.add(String(left + bar * count / ranked[0][1] + 2 * mm, y + 1.6 * mm, words,
                           fontName=FONT, fontSize=7.5, fillColor=SOFT))  # fmt: skip
    yield KeepTogether([Paragraph("Defects by class, rejected parts", HEAD), drawing])


def _signatures() -> Iterator[Flowable]:
    rows = [[""] * 5, ["Inspected by", "", "Released by", "", "Place, date"]]
    gap = 6 * mm
    wide = (INNER - 2 * gap) / 3
    table = Table(rows, colWidths=[wide, gap, wide, gap, wide], rowHeights=[16 * mm, 5 * mm])
    style = [("FONT", (0, 0), (-1, -1), FONT, 7), ("TEXTCOLOR", (0, 0), (-1, -1), SOFT)]
    style += [("LEFTPADDING", (0, 0), (-1, -1), 0)]
    style += [("LINEABOVE", (i, 1), (i, 1), 0.6, INK) for i in (0, 2, 4)]
    table.setStyle(TableStyle(style))
    yield Spacer(0, 8 * mm)
    yield table


def _listed(
    inspections: Sequence[Judged],
    verdicts: Sequence[Verdict],
    policy: Policy,
    origin: Origin,
    subject: Subject,
) -> Iterator[Flowable]:
    wanted = [
        (found, verdict)
        for found, verdict in zip(inspections, verdicts, strict=True)
        if verdict != Verdict.ACCEPT
    ]
    wanted.sort(key=lambda pair: pair[1] != Verdict.REJECT)
    yield Paragraph(f"Parts not accepted: {len(wanted)}", HEAD)
    if len(wanted) > MOST_ROWS:
        yield Paragraph(f"The first {MOST_ROWS}; the CSV export has all.", SMALL)
    if not wanted:
        yield Paragraph("Every part was accepted.", BODY)
        return
    masks = bool(origin.mask_classes)
    head = ["File", "Verdict", "Label or reason", "Probability", "Score"]
    widths = [INNER - 98 * mm, 18 * mm, 40 * mm, 22 * mm, 18 * mm]
    if masks:
        head.append("Regions")
        widths = [INNER - 114 * mm, *widths[1:], 16 * mm]
    rows: list[list[str | Flowable]] = [[*head]]
    for found, verdict in wanted[:MOST_ROWS]:
        labels = found.labels(policy)
        name = _shown(found.name)
        if found.name in subject.synthetic:
            name += f' <font color="{looks.SOFT}">({SYNTHETIC})</font>'
        row = [
            Paragraph(name, CELL),
            verdict.value,
            Paragraph(_shown(found.objection or origin.line.titles(labels)), CELL),
            f"{found.probabilities[labels[0]]:.1%}" if labels and not found.objections else "",
            "" if found.defect_score is None else f"{found.defect_score:.4f}",
        ]
        rows.append([*row, str(len(found.regions(policy)))] if masks else row)
    table = Table(rows, colWidths=widths, repeatRows=1)
    style = [
        ("FONT", (0, 0), (-1, -1), FONT, 7),
        ("FONT", (0, 0), (-1, 0), BOLD, 7),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, -1), 0.3, RULE),
        ("ALIGN", (3, 0), (-1, -1), "RIGHT"),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ]
    style += [
        ("TEXTCOLOR", (1, i), (1, i), COLOURS[verdict])
        for i, (_, verdict) in enumerate(wanted[:MOST_ROWS], 1)
    ]
    table.setStyle(TableStyle(style))
    yield table


def _pictures(
    inspections: Sequence[J],
    verdicts: Sequence[Verdict],
    policy: Policy,
    origin: Origin,
    picture: Callable[[J], NDArray[np.uint8] | None],
    subject: Subject,
) -> Iterator[Flowable]:
    rejected = [
        found
        for found, verdict in zip(inspections, verdicts, strict=True)
        if verdict == Verdict.REJECT
    ]
    if not rejected:
        return
    rejected.sort(key=lambda found: -(found.defect_score or 0.0))
    yield PageBreak()
    yield Paragraph("Rejected parts", HEAD)
    shown = rejected[:MOST_PICTURES]
    if len(rejected) > len(shown):
        yield Paragraph(f"The {len(shown)} with the highest scores of {len(rejected)}.", SMALL)
    pair: list[list[Flowable]] = []
    for found in shown:
        pixels = picture(found)
        labels = origin.line.titles(found.labels(policy))
        score = "" if found.defect_score is None else f", score {found.defect_score:.4f}"
        drawn = f", {SYNTHETIC}" if found.name in subject.synthetic else ""
        words = Paragraph(f"{_shown(found.name)}: {_shown(labels)}{score}{drawn}", SMALL)
        if pixels is None:
            pair.append([Paragraph("(the picture was not kept)", SMALL), words])
        elif pixels.shape[1] > WIDE * pixels.shape[0]:
            yield from _side_by_side(pair)
            pair = []
            yield KeepTogether([_flowable(pixels, INNER), words, Spacer(0, 4 * mm)])
        else:
            pair.append([_flowable(pixels, INNER / 2 - 3 * mm), words])
        if len(pair) == 2:
            yield from _side_by_side(pair)
            pair = []
    yield from _side_by_side(pair)


def _side_by_side(pair: list[list[Flowable]]) -> Iterator[Flowable]:
    """One or two pictures with their words in a row."""
    if not pair:
        return
    table = Table([[*pair, *[""] * (2 - len(pair))]], colWidths=[INNER / 2] * 2)
    style = [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LEFTPADDING", (0, 0), (-1, -1), 0)]
    table.setStyle(TableStyle([*style, ("BOTTOMPADDING", (0, 0), (-1, -1), 4 * mm)]))
    yield table


def _flowable(pixels: NDArray[np.uint8], across: float) -> Image:
    """A picture at most `across` wide and half a page high."""
    height, width = pixels.shape[:2]
    factor = min(across / width, 95 * mm / height)
    encoded = io.BytesIO()
    PilImage.fromarray(pixels).save(encoded, "JPEG", quality=85)
    encoded.seek(0)
    return Image(encoded, width * factor, height * factor, hAlign="LEFT")


def _share(count: int, total: int) -> str:
    return f", {count / total:.1%}" if total else ""


def _shown(text: str) -> str:
    return escape(_covered(text))


def _covered(text: str) -> str:
    """`text` with `?` for what the report's font cannot show."""
    glyphs = pdfmetrics.getFont(FONT).face.charToGlyph
    return "".join(c if ord(c) in glyphs else "?" for c in text)
