"""The parts of a lot in the PDF report: those that needed a person first, then by doubt."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from reportlab.lib.units import mm
from reportlab.platypus import (
    Flowable,
    KeepTogether,
    PageBreak,
    Paragraph,
    Spacer,
    Table,
    TableStyle,
)

from defectvision.bundle.policy import Policy, Verdict, beside_thresholds
from defectvision.bundle.schema import Origin
from defectvision.inference.images import ImageError
from defectvision.inference.judged import Judged
from defectvision.report import looks
from defectvision.report.looks import LOOKS, SYNTHETIC
from defectvision.report.pdf_style import (
    BODY,
    BOLD,
    CELL,
    COLOURS,
    FONT,
    HEAD,
    INNER,
    RULE,
    SMALL,
    flowable,
    shown,
)
from defectvision.words import in_utc

MOST_ROWS = 500
MOST_PICTURES = 24
WIDE = 1.6  # width over height from which a picture takes the whole width

J = TypeVar("J", bound=Judged)


def in_order(inspections: Sequence[J], policy: Policy) -> list[J]:
    """The parts that were not simply accepted: first those that needed a person, by the model or
    because somebody decided, then the others; each the most doubtful first."""
    middle = (policy.accept_below + policy.reject_above) / 2

    def key(found: J) -> tuple[bool, float]:
        score = middle if found.defect_score is None else found.defect_score
        return not _needed_a_person(found, policy), abs(score - middle)

    wanted = [
        found
        for found in inspections
        if _needed_a_person(found, policy) or found.final_verdict(policy) != Verdict.ACCEPT
    ]
    return sorted(wanted, key=key)


def _needed_a_person(found: Judged, policy: Policy) -> bool:
    return found.decision is not None or found.verdict(policy) == Verdict.REVIEW


def _label_or_reason(found: Judged, policy: Policy) -> str:
    """The part's classes; why there can be no verdict, until a person gives one."""
    if found.classless:
        return found.objection if found.decision is None else ""
    said = (found.line.titles(found.final_labels(policy)), *found.broken_in_words(policy))
    return "; ".join(said)


def _score(found: Judged, policy: Policy) -> str:
    score = found.defect_score
    return "" if score is None else beside_thresholds(score, policy, 4)[0]


def listed(
    inspections: Sequence[Judged], policy: Policy, origin: Origin, synthetic: frozenset[str]
) -> Iterator[Flowable]:
    """The table of those parts."""
    wanted = in_order(inspections, policy)
    people = sum(_needed_a_person(found, policy) for found in wanted)
    yield Paragraph(f"Parts that needed a person: {people}, others not accepted: "
                    f"{len(wanted) - people}", HEAD)  # fmt: skip
    if len(wanted) > MOST_ROWS:
        yield Paragraph(f"The first {MOST_ROWS}; the CSV export has all.", SMALL)
    if not wanted:
        said = "Every part was accepted." if inspections else "No part was inspected."
        yield Paragraph(said, BODY)
        return
    masks = bool(origin.mask_classes)
    head = ["File", "Verdict", "Decided by", "Model", "Label or reason", "Score"]
    widths = [INNER - 116 * mm, 18 * mm, 30 * mm, 16 * mm, 36 * mm, 16 * mm]
    if masks:
        head.append("Regions")
        widths = [INNER - 130 * mm, *widths[1:], 14 * mm]
    rows: list[list[str | Flowable]] = [[*head]]
    for found in wanted[:MOST_ROWS]:
        name = shown(found.name)
        if found.name in synthetic:
            name += f' <font color="{looks.SOFT}">({SYNTHETIC})</font>'
        decision, by = found.decision, ""
        if decision is not None:
            by = shown(f"{decision.who}, {in_utc(decision.at)}")
            by += f"<br/>{shown(decision.note)}" if decision.note else ""
        row: list[str | Flowable] = [
            Paragraph(name, CELL),
            found.final_verdict(policy).value,
            Paragraph(by, CELL),
            found.verdict(policy).value,
            Paragraph(shown(_label_or_reason(found, policy)), CELL),
            _score(found, policy),
        ]
        regions = found.known_regions(policy) if masks else ()
        count = "lost" if regions is None else str(len(regions))
        rows.append([*row, count] if masks else row)
    table = Table(rows, colWidths=widths, repeatRows=1)
    style = [
        ("FONT", (0, 0), (-1, -1), FONT, 7),
        ("FONT", (0, 0), (-1, 0), BOLD, 7),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LINEBELOW", (0, 0), (-1, -1), 0.3, RULE),
        ("ALIGN", (5, 0), (-1, -1), "RIGHT"),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2),
    ]
    style += [
        ("TEXTCOLOR", (1, i), (1, i), COLOURS[found.final_verdict(policy)])
        for i, found in enumerate(wanted[:MOST_ROWS], 1)
    ]
    table.setStyle(TableStyle(style))
    yield table


def not_inspected(errors: Sequence[ImageError]) -> Iterator[Flowable]:
    """The files that could not be inspected, with the reason; nothing where there are none."""
    if not errors:
        return
    yield Spacer(0, 6 * mm)
    yield Paragraph(f"Not inspected: {len(errors)}", HEAD)
    if len(errors) > MOST_ROWS:
        yield Paragraph(f"The first {MOST_ROWS}; the CSV export has all.", SMALL)
    rows = [
        [Paragraph(shown(error.name), CELL), Paragraph(shown(error.reason), CELL)]
        for error in errors[:MOST_ROWS]
    ]
    table = Table(rows, colWidths=[INNER / 2] * 2)
    table.setStyle(
        TableStyle(
            [("VALIGN", (0, 0), (-1, -1), "TOP"), ("LINEBELOW", (0, 0), (-1, -1), 0.3, RULE)]
        )
    )
    yield table


def pictures(
    inspections: Sequence[J],
    policy: Policy,
    origin: Origin,
    picture: Callable[[J], NDArray[np.uint8] | None],
    synthetic: frozenset[str],
) -> Iterator[Flowable]:
    """Pictures of the parts of the table, in its order."""
    wanted = in_order(inspections, policy)
    if not wanted:
        return
    yield PageBreak()
    yield Paragraph("Pictures", HEAD)
    if len(wanted) > MOST_PICTURES:
        yield Paragraph(f"The first {MOST_PICTURES} of {len(wanted)}.", SMALL)
    pair: list[list[Flowable]] = []
    for found in wanted[:MOST_PICTURES]:
        pixels = picture(found)
        score = _score(found, policy)
        score = f", score {score}" if score else ""
        drawn = f", {SYNTHETIC}" if found.name in synthetic else ""
        verdict = LOOKS[found.final_verdict(policy)].word
        label = shown(_label_or_reason(found, policy))
        text = f"{shown(found.name)}: {verdict}, {label}{score}{drawn}"
        words = Paragraph(text, SMALL)
        if pixels is None:
            pair.append([Paragraph("(the picture was not kept, or is lost)", SMALL), words])
        elif pixels.shape[1] > WIDE * pixels.shape[0]:
            yield from _side_by_side(pair)
            pair = []
            yield KeepTogether([flowable(pixels, INNER), words, Spacer(0, 4 * mm)])
        else:
            pair.append([flowable(pixels, INNER / 2 - 3 * mm), words])
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
