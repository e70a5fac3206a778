"""The report that someone signs: counts, Pareto, what people decided, pictures, as a PDF.

Counts and yield are always those of the whole lot. The same lot printed at the same moment gives
the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from reportlab.graphics.shapes import Drawing, Rect, String
from reportlab.lib.colors import HexColor
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase.pdfdoc import TimeStamp
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import (
    BaseDocTemplate,
    Flowable,
    Frame,
    KeepTogether,
    PageBreak,
    PageTemplate,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy, Verdict
from defectvision.bundle.schema import Origin
from defectvision.inference.images import ImageError
from defectvision.inference.judged import Judged
from defectvision.report import looks
from defectvision.report.looks import SYNTHETIC
from defectvision.report.pdf_parts import listed, not_inspected, pictures
from defectvision.report.pdf_style import (
    BODY,
    BOLD,
    CELL,
    COLOURS,
    FONT,
    HEAD,
    INK,
    INNER,
    MARGIN,
    RULE,
    SMALL,
    SOFT,
    TITLE,
    covered,
    register_fonts,
    shown,
)
from defectvision.store.inspections import Summary
from defectvision.words import counted, percentage

EXTRACT = "Extract: not a report of the whole lot under the policy in force"

J = TypeVar("J", bound=Judged)


@dataclass(frozen=True)
class Subject:
    """What a report is about.

    lot: title and number as text; counts: of the whole lot under the policy; extract: whether it
    shows a part of the lot only, or a policy that is not in force: then nobody can sign it; facts:
    what else must stand on it, by name; failed: files that could not be inspected; cautions: what
    must be known first; synthetic: names of images that the program drew; printed:
    when the report was made, with its time zone; digest: SHA-256 of the lot's record.
    """

    lot: str
    counts: Summary
    extract: bool
    facts: Sequence[tuple[str, str]]
    failed: Sequence[ImageError]
    cautions: Sequence[str]
    synthetic: frozenset[str]
    printed: datetime
    digest: str


def report_pdf(
    inspections: Sequence[J],
    policy: Policy,
    origin: Origin,
    subject: Subject,
    picture: Callable[[J], NDArray[np.uint8] | None],
) -> bytes:
    """The report of `inspections` under `policy`, on A4.

    The table and the pictures show what was not simply accepted, the parts that needed a person
    first, then the rest, the most doubtful first; at most pdf_parts.MOST_ROWS and MOST_PICTURES.
    picture: gives an image with its overlays as (H, W, 3) uint8, or None where it was not kept.
    """
    register_fonts()
    out = io.BytesIO()
    document = BaseDocTemplate(
        out,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=MARGIN,
        bottomMargin=MARGIN,
        invariant=1,
        title=f"Inspection report: {subject.lot}",
        author="DefectVision",
        keywords=f"{subject.lot}; record SHA-256 {subject.digest}",
        pageCompression=1,
    )
    frame = Frame(MARGIN, MARGIN, INNER, A4[1] - 2 * MARGIN, 0, 0, 0, 0)
    document.addPageTemplates(PageTemplate(frames=[frame]))
    story = [
        *_cover(len(inspections), origin, subject),
        *_pareto(subject.counts, origin.line),
        *([] if subject.extract else _signatures()),
        PageBreak(),
        *listed(inspections, policy, origin, subject.synthetic),
        *not_inspected(subject.failed),
        *pictures(inspections, policy, origin, picture, subject.synthetic),
    ]
    document.build(story, canvasmaker=_canvas_of(subject))
    return out.getvalue()


def _canvas_of(subject: Subject) -> type[Canvas]:
    """A canvas that knows on its last page how many there are, and when it was drawn."""

    class Numbered(Canvas):  # type: ignore[misc]  # reportlab is not typed
        def __init__(self, *given: object, **more: object) -> None:
            super().__init__(*given, **more)
            self._pages: list[dict[str, object]] = []
            self._doc._timeStamp = _Moment(subject.printed)

        def showPage(self) -> None:  # noqa: N802  # as reportlab calls it
            self._pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, page in enumerate(self._pages, 1):
                self.__dict__.update(page)
                self._foot(number)
                Canvas.showPage(self)
            Canvas.save(self)

        def _foot(self, number: int) -> None:
            self.setFont(FONT, 6.5)
            self.setFillColor(SOFT)
            self.drawString(MARGIN, MARGIN / 2, f"Record SHA-256 {subject.digest}")
            words = f"Page {number} of {len(self._pages)}"
            self.drawRightString(A4[0] - MARGIN, MARGIN / 2, words)
            if subject.extract:
                self.setFillColor(COLOURS[Verdict.REJECT])
                self.setFont(BOLD, 8)
                self.drawString(MARGIN, A4[1] - MARGIN / 2, EXTRACT)

    return Numbered


class _Moment(TimeStamp):  # type: ignore[misc]  # reportlab is not typed
    """The moment of printing, as the file's own dates."""

    def __init__(self, at: datetime) -> None:
        super().__init__(invariant=1)
        utc = at.astimezone(UTC)
        self.t, self.lt = utc.timestamp(), utc.timetuple()
        self.YMDhms = (utc.year, utc.month, utc.day, utc.hour, utc.minute, utc.second)
        self.dhh, self.dmm, self.tzname = 0, 0, "UTC"


def _cover(listed_parts: int, origin: Origin, subject: Subject) -> Iterator[Flowable]:
    counts = subject.counts
    yield Paragraph("Extract of an inspection" if subject.extract else "Inspection report", TITLE)
    yield Paragraph(shown(subject.lot), HEAD)
    if subject.extract:
        part = f"{listed_parts:,} of {counted(counts.images, 'part')} shown. {EXTRACT}."
        yield Paragraph(shown(part), BODY)
    for caution in subject.cautions:
        yield Paragraph(f'<font name="{BOLD}">Caution.</font> {shown(caution)}', BODY)
    if subject.synthetic:
        drawn = counted(
            len(subject.synthetic), f"image is a {SYNTHETIC}", f"images are {SYNTHETIC}s"
        )
        yield Paragraph(f"{drawn}.", BODY)
    numbers = [("Inspected", counts.images, INK)]
    verdicts = looks.verdicts_in(origin.line, counts.verdicts)
    numbers += [(looks.LOOKS[v].word, counts.verdicts[v], COLOURS[v]) for v in verdicts]
    cells = [
        [Paragraph(f'<font name="{BOLD}" size="17" color="{colour.hexval().replace("0x", "#")}">'
                   f"{count}</font>", ParagraphStyle("n", BODY, leading=21))
         for _, count, colour in numbers],
        [Paragraph(f"{word}{_share(count, counts.images) if word != 'Inspected' else ''}", SMALL)
         for word, count, _ in numbers],
    ]  # fmt: skip
    tiles = Table(cells, colWidths=[INNER / len(numbers)] * len(numbers))
    tiles.setStyle(TableStyle([("BOX", (0, 0), (-1, -1), 0.6, RULE),
                               ("INNERGRID", (0, 0), (-1, -1), 0, RULE),
                               ("LINEAFTER", (0, 0), (-2, -1), 0.6, RULE)]))  # fmt: skip
    yield Spacer(0, 4 * mm)
    yield tiles
    yield Spacer(0, 5 * mm)
    facts = list(subject.facts)
    if counts.yield_share is not None and origin.line.can_accept:
        decided = counts.verdicts[Verdict.ACCEPT] + counts.verdicts[Verdict.REJECT]
        parts = counted(decided, "part")
        facts.insert(
            0, ("Yield", f"{percentage(counts.yield_share)} of {parts} accepted or rejected")
        )
    rows = [[Paragraph(name, SMALL), Paragraph(shown(text), CELL)] for name, text in facts]
    table = Table(rows, colWidths=[32 * mm, INNER - 32 * mm])
    table.setStyle(TableStyle([("VALIGN", (0, 0), (-1, -1), "TOP"),
                               ("LINEBELOW", (0, 0), (-1, -1), 0.4, RULE),
                               ("TOPPADDING", (0, 0), (-1, -1), 2),
                               ("BOTTOMPADDING", (0, 0), (-1, -1), 3)]))  # fmt: skip
    yield table


def _pareto(summary: Summary, line: Line) -> Iterator[Flowable]:
    """Defects by class among the rejected, the most frequent first, with the running share."""
    defects = {c.name: c for c in line.classes if c.kind == "defect"}
    ranked = [(n, count) for n, count in summary.rejected.items() if n in defects and count]
    yield Spacer(0, 6 * mm)
    if not ranked:
        yield Paragraph("Defects by class", HEAD)
        yield Paragraph("No part was rejected.", BODY)
        return
    step, left, bar = 6.2 * mm, 42 * mm, INNER - 92 * mm
    drawing = Drawing(INNER, step * len(ranked))
    total, running = sum(count for _, count in ranked), 0
    for i, (name, count) in enumerate(ranked):
        y, running = step * (len(ranked) - 1 - i), running + count
        title = covered(defects[name].title)
        drawing.add(String(left - 3 * mm, y + 1.6 * mm, title[:26], fontName=FONT, fontSize=8,
                           fillColor=INK, textAnchor="end"))  # fmt: skip
        drawing.add(Rect(left, y + 0.8 * mm, bar * count / ranked[0][1], step - 1.8 * mm,
                         fillColor=HexColor(defects[name].colour), strokeColor=None))  # fmt: skip
        words = (
            f"{count}  {percentage(count / total, 0)}, together {percentage(running / total, 0)}"
        )
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


def _share(count: int, total: int) -> str:
    return f", {percentage(count / total)}" if total else ""
