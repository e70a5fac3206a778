"""Charts of a batch show what its counts say."""

from __future__ import annotations

import numpy as np
import pytest

from defectvision.bundle.policy import Policy, Verdict
from defectvision.store.inspections import Summary
from defectvision.store.tables import BINS
from defectvision.web.batch.charts import pareto_chart, score_histogram
from tests.stand_ins.bundles import LINES

COUNTS = dict.fromkeys(Verdict, 4)


def summary(most: int) -> Summary:
    scores = np.zeros(BINS, np.int64)
    scores[[0, 7, BINS - 1]] = 1, 3, most
    named = {"crack": 60, "fray": 50, "free": 5, "break": 40}  # on parts under review, too
    rejected = {"crack": 6, "fray": 2, "break": 0, "free": 0}
    return Summary(12, COUNTS, named, rejected, 0, 0, scores)


def test_the_pareto_shows_defects_of_rejected_parts_and_ends_at_all_of_them() -> None:
    bars, line = pareto_chart(summary(5), LINES["magnetic-tile"]).data
    assert list(bars.x) == ["Crack", "Fray", "Break"] and list(bars.y) == [6, 2, 0]
    assert list(line.y) == pytest.approx([0.75, 1, 1])


@pytest.mark.parametrize("most", [5, 49, 50, 9000])
def test_a_single_image_stays_in_sight_beside_thousands(most: int) -> None:
    figure = score_histogram(summary(most), Policy(accept_below=0.2, reject_above=0.6))
    assert list(figure.data[0].y)[BINS - 1] == most
    low, high = figure.layout.yaxis.range or (-np.inf, np.inf)
    if most >= 50:
        assert figure.layout.yaxis.type == "log"
        assert low < 0 < np.log10(most) < high
    zones = [(s.x0, s.x1) for s in figure.layout.shapes if s.type == "rect"]
    assert zones == [(0, 0.2), (0.2, 0.6), (0.6, 1)]


@pytest.mark.parametrize(("most", "step"), [(3, 1), (30, None)])
def test_counts_have_no_ticks_between_whole_numbers(most: int, step: int | None) -> None:
    figure = score_histogram(summary(most), Policy(accept_below=0.2, reject_above=0.6))
    assert figure.layout.yaxis.dtick == step
    few = Summary(3, COUNTS, {}, {"crack": 2, "fray": 1}, 0, 0, np.zeros(BINS, np.int64))
    assert pareto_chart(few, LINES["magnetic-tile"]).layout.yaxis.dtick == 1
