"""From which length on a defect is found, and where that cannot be said."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from defectvision.bundle.policy import Policy
from defectvision.data.resampling import clopper_pearson
from defectvision.evaluation.defect_sizes import detection, mask_figures
from defectvision.evaluation.kept import DEFECTS, Kept, table
from defectvision.evaluation.outcomes import verdicts
from tests.stand_ins.bundles import LINES
from tests.stand_ins.evaluations import made_up

TILES = LINES["magnetic-tile"]
POLICY = Policy(accept_below=0.3, reject_above=0.6)
KEPT = made_up(TILES, 1500, 500, outlines=True)


def with_defects(lengths: np.ndarray, hits: np.ndarray) -> Kept:
    kept = made_up(TILES, len(lengths), outlines=True)
    rows = [
        {"image": i, "class_name": "crack", "length_px": length, "area_px": 9,
         "probability": 0.5, "hit": hit}
        for i, (length, hit) in enumerate(zip(lengths, hits, strict=True))
    ]  # fmt: skip
    return Kept(kept.about, kept.images, table(DEFECTS, rows), kept.regions, kept.pixels)


def test_the_curve_is_the_logistic_fit_of_the_log_length() -> None:
    found = detection(KEPT, POLICY)
    model = LogisticRegression(C=1e6, tol=1e-9, max_iter=1000)
    model.fit(np.log(found.length_px)[:, None], found.found)
    wanted = model.predict_proba(np.log(found.lengths)[:, None])[:, 1]
    assert found.curve == pytest.approx(wanted, abs=2e-3)
    a90 = np.exp((np.log(9) - model.intercept_[0]) / model.coef_[0, 0])
    assert found.a90 == pytest.approx(a90, rel=0.01)
    # Made so that 90 % are found from 15 px times 9 to the power of a third on.
    assert found.a90 < found.a90_95 and found.a90_95 > 15 * 9 ** (1 / 3) * 0.95
    assert (found.low <= found.curve).all() and (found.curve <= found.high).all()
    assert f"{found.a90:.3g} px on are found 9 times in 10" in found.words


def test_a90_95_is_above_the_truth_as_often_as_it_says() -> None:
    truth, above, tries = 15 * 9 ** (1 / 3), 0, 40
    for seed in range(tries):
        kept = made_up(TILES, 250, outlines=True, seed=seed)
        found = detection(kept, POLICY).a90_95
        above += found is None or found >= truth
    assert clopper_pearson(above, tries)[1] >= 0.95, above


def test_bins_hold_every_defect_once_with_exact_intervals() -> None:
    found = detection(KEPT, POLICY)
    assert found.bins["defects"].sum() == found.defects == len(KEPT.defects)
    row = found.bins.iloc[0]
    assert (row["share_low"], row["share_high"]) == clopper_pearson(row["found"], row["defects"])
    assert len(found.images) == len(found.length_px) == len(found.found) == found.defects


def test_by_verdict_each_part_counts_once_with_its_longest_defect() -> None:
    found = detection(KEPT, POLICY, "verdict")
    assert sorted(found.images) == sorted(set(KEPT.defects["image"]))
    longest = KEPT.defects.groupby("image")["length_px"].max()
    assert found.length_px.tolist() == longest.loc[found.images].tolist()
    assert (found.found == (verdicts(KEPT, POLICY)[found.images] != 0)).all()
    one = detection(KEPT, POLICY, "mask", "crack")
    assert one.defects == (KEPT.defects["class_name"] == "crack").sum()


@pytest.mark.parametrize(
    ("lengths", "hits", "words"),
    [
        (np.arange(1, 11), np.ones(10), "cannot be said from 10 defects; 20 more are needed."),
        (np.arange(1, 51), np.ones(50), "from 50 defects, of which none were missed."),
        (np.arange(1, 51), np.arange(50) == 7, "from 50 defects, of which 1 was found."),
        (np.full(50, 8), np.arange(50) % 2, "from 50 defects of so few lengths."),
        (np.zeros(0), np.zeros(0), "cannot be said from 0 defects; 30 more are needed."),
    ],
)
def test_what_cannot_be_said_is_not_said(lengths, hits, words) -> None:
    found = detection(with_defects(lengths, hits.astype(bool)), POLICY)
    assert found.words.endswith(words)
    assert (found.a90, found.a90_95, len(found.curve)) == (None, None, 0)
    assert len(found.bins) == 0 or found.bins["defects"].sum() == len(lengths)


def test_a_model_that_misses_the_longest_defects_promises_no_length() -> None:
    lengths = np.geomspace(2, 200, 60)
    found = detection(with_defects(lengths, lengths < 20), POLICY)
    assert found.a90 is None and found.a90_95 is None
    assert found.words.startswith("No length up to 200 px")


def test_a_clean_cut_gives_a_steep_curve() -> None:
    lengths = np.geomspace(2, 200, 60)
    found = detection(with_defects(lengths, lengths > 20), POLICY)
    assert 18 < found.a90 < 26 and np.isfinite(found.curve).all()


def test_masks_of_an_evaluation_without_any_have_no_figures() -> None:
    assert mask_figures(made_up(LINES["casting"], 10)) == {}
    figures = mask_figures(KEPT)
    sums = KEPT.pixels[KEPT.pixels["class_name"] == "crack"]
    shown = sums[sums["tp"] + sums["fn"] > 0]
    iou = shown["tp"].sum() / (shown["tp"] + shown["fp"] + shown["fn"]).sum()
    assert figures["iou/crack"].value == pytest.approx(iou, abs=1e-5)
