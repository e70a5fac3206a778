"""All images of a line in this session: how many got which verdict, their scores, one row each."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from defectvision.bundle.line import Line
from defectvision.bundle.policy import Policy
from defectvision.bundle.schema import LoadedBundle
from defectvision.report.looks import IMAGES, LOOKS, NOT_INSPECTED, verdicts_of
from defectvision.settings import settings
from defectvision.web.inspect.score_strip import score_strip
from defectvision.web.judged_table import Row, hidden_columns, judged_table
from defectvision.web.open_image import OpenImage
from defectvision.web.session.images import Result, count_verdicts
from defectvision.web.session.work import Work
from defectvision.web.steps import step_control


def dropped_image(work: Work, result: Result | None, policy: Policy) -> OpenImage | None:
    """The open image as it was dropped in; None where there is none."""
    if result is None or result.inspection is None:
        return None
    digest = result.entry.digest
    # It decoded when it was inspected.
    data = work.images.content[digest]
    limit, bits = settings().limits.pixels, result.inspection.line.bits
    picture = work.pictures.of(digest, data, limit, bits)
    cut = work.cuts.whole(digest, result.inspection, policy)
    return OpenImage(digest, result.inspection, cut, picture, result.entry.synthetic, data)


def steps(work: Work, line: Line, results: Sequence[Result], opened: Result) -> None:
    """From the open image to the next one that could be inspected."""
    usable = [r for r in results if r.inspection is not None]
    step_control(
        opened.entry.name,
        usable.index(opened),
        len(usable),
        opened.entry.synthetic,
        lambda there: work.images.open(line.name, usable[there].entry.number),
    )


def tiles(results: Sequence[Result], policy: Policy, loaded: LoadedBundle) -> None:
    """Counts of the verdicts, and of the files that could not be inspected."""
    counts = count_verdicts(results, policy)
    shown = [] if loaded.line.can_accept else [(IMAGES, len(results))]
    shown += [(LOOKS[verdict], counts[verdict]) for verdict in verdicts_of(loaded.line)]
    shown.append((NOT_INSPECTED, sum(r.error is not None for r in results)))
    with st.grid(2, gap="small", min_column_width=90):
        for look, count in shown:
            with st.container(key=f"tile-{look.word.lower().replace(' ', '-')}"):
                st.metric(look.markdown, count, border=True)


def scores(results: Sequence[Result], policy: Policy, opened: Result | None) -> None:
    """The defect scores of all images along one axis."""
    inspected = [(r, r.inspection) for r in results if r.inspection is not None]
    points = [(i.defect_score or 0.0, i.verdict(policy)) for _, i in inspected]
    place = next((at for at, (result, _) in enumerate(inspected) if result is opened), None)
    if points:
        st.html(score_strip(points, policy, place))


def results_table(
    work: Work,
    results: Sequence[Result],
    policy: Policy,
    loaded: LoadedBundle,
    opened: Result | None,
) -> None:
    """The table; a click into a row opens its image."""
    line = loaded.line
    rows = [table_row(work, result, policy) for result in results]
    judged_table(
        rows,
        policy,
        hidden_columns(line, loaded.bundle.mask_classes, reviewed=False),
        next((at for at, result in enumerate(results) if result is opened), None),
        lambda place: work.images.open(line.name, results[place].entry.number),
        f"table-{line.name}",
    )


def table_row(work: Work, result: Result, policy: Policy) -> Row:
    inspection, entry = result.inspection, result.entry
    if inspection is None:
        return Row(entry.name, None, result.error)
    regions = work.cuts.regions(entry.digest, inspection, policy)
    return Row(
        entry.name,
        inspection,
        thumbnail=inspection.thumbnail,
        regions=regions,
        synthetic=entry.synthetic,
    )
