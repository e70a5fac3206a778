"""The charts' numbers against the ways to have them one by one."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    f1_score,
    precision_score,
    roc_auc_score,
)

from defectvision.bundle.policy import STRICTNESS, Policy
from defectvision.evaluation import charts
from defectvision.evaluation.calibration import expected_calibration_error
from defectvision.evaluation.outcomes import named, verdicts
from tests.stand_ins.bundles import LINES
from tests.stand_ins.evaluations import made_up

POLICY = Policy(accept_below=0.3, reject_above=0.7)
KEPT = {name: made_up(line, 600, 150, skill=1.0) for name, line in LINES.items()}


@pytest.mark.parametrize("name", LINES)
def test_every_image_stands_in_its_cell_once(name: str) -> None:
    kept = KEPT[name]
    for table in (charts.confusion(kept, POLICY), charts.verdict_table(kept, POLICY)):
        rows = np.concatenate(list(table.images.values()))
        assert sorted(rows) == list(range(len(kept)))
        assert table.counts.sum() == len(kept)
        for (row, column), images in table.images.items():
            place = table.rows.index(row), table.columns.index(column)
            assert table.counts[place] == len(images)
    said = verdicts(kept, POLICY)
    escapes = charts.verdict_table(kept, POLICY).images["defective", "accept"]
    assert all(kept.defective[row] and STRICTNESS[said[row]] == "accept" for row in escapes)
    if kept.line.can_accept:
        assert len(escapes) > 0


@pytest.mark.parametrize("name", [n for n, line in LINES.items() if line.can_accept])
def test_areas_are_those_of_scikit_learn_within_their_bands(name: str) -> None:
    kept = KEPT[name]
    roc, precision = charts.roc(kept), charts.precision_recall(kept)
    assert roc.area[0] == pytest.approx(roc_auc_score(kept.defective, kept.scores), abs=2e-3)
    wanted = average_precision_score(kept.defective, kept.scores)
    assert precision.area[0] == pytest.approx(wanted, abs=5e-3)
    for curve in (roc, precision):
        assert curve.area[1] <= curve.area[0] <= curve.area[2]
        assert (curve.low <= curve.high + 1e-12).all() and len(curve.x) == len(curve.thresholds)
    assert (np.diff(roc.x) >= 0).all() and (np.diff(roc.y) >= 0).all()
    # At a threshold of the curve, the shares are those of the scores.
    place = len(roc.x) // 2
    stopped = kept.scores >= roc.thresholds[place]
    assert roc.y[place] == pytest.approx(stopped[kept.defective].mean())
    assert roc.x[place] == pytest.approx(stopped[~kept.defective].mean())


def test_one_kind_of_part_alone_has_no_curve() -> None:
    kept = KEPT["casting"]
    good = kept.take(~kept.defective)
    assert charts.roc(good).area is None and not len(charts.roc(good).x)
    assert charts.precision_recall(good).area is None
    assert charts.roc(KEPT["neu-surface"]).area is None
    name = LINES["neu-surface"].class_names[0]
    assert charts.roc(KEPT["neu-surface"], name).area is not None


@pytest.mark.parametrize("name", LINES)
def test_classes_are_those_of_the_figures(name: str) -> None:
    kept, line = KEPT[name], LINES[name]
    table = charts.class_table(kept, POLICY)
    assert table["name"].tolist() == list(line.class_names)
    for bound in ("recall", "precision"):
        known = table[table[bound].notna()]
        assert known[bound].between(known[f"{bound}_low"], known[f"{bound}_high"]).all()
    label = named(kept, POLICY)
    assert table["f1"].tolist() == pytest.approx(f1_score(kept.truth, label, average=None))
    assert table["precision"].tolist() == pytest.approx(
        precision_score(kept.truth, label, average=None)
    )


def test_the_histogram_leaves_out_what_the_gate_objects_to() -> None:
    kept = KEPT["casting"]
    table = charts.histogram(kept)
    assert table[["good", "defective"]].to_numpy().sum() == kept.judged.sum() < len(kept)
    assert table["good"].sum() == (kept.judged & ~kept.defective).sum()
    assert not len(charts.histogram(KEPT["neu-surface"]))


def test_reliability_is_the_calibration_error_of_the_most_probable_class() -> None:
    kept = KEPT["neu-surface"]
    found = charts.reliability(kept)
    wanted = expected_calibration_error(kept.probabilities, kept.truth.argmax(1))
    assert found.error[0] == pytest.approx(wanted, abs=1e-12)
    assert found.error[1] <= found.error[0] <= found.error[2] + 0.02
    assert found.bins["images"].sum() == len(kept)


def test_the_worst_mistakes_come_first_and_each_is_one() -> None:
    kept = KEPT["casting"]
    rows = charts.worst(kept, POLICY, 1000)
    said = verdicts(kept, POLICY)
    wrong = np.where(kept.defective, said == 0, said == 2)
    assert set(np.flatnonzero(wrong)) <= set(rows) and len(set(rows)) == len(rows)
    first = rows[0]
    surest = np.where(kept.defective, 1 - kept.scores, kept.scores)
    assert surest[first] == surest[wrong].max()


def test_photo_groups_add_up() -> None:
    kept = KEPT["casting"]
    table, whole = charts.by_group(kept, POLICY), charts.verdict_table(kept, POLICY)
    assert table["images"].sum() == len(kept) and len(table) == len(np.unique(kept.groups))
    assert table["escapes"].sum() == len(whole.images["defective", "accept"])
    errors = table["escapes"] + table["overkills"]
    assert (np.diff(errors) <= 0).all()
    for row in table.head(5).itertuples():
        assert kept.images["group"].iloc[row.first] == row.group
