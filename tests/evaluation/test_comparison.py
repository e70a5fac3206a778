"""Two that are the same show no difference; two that differ show it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from defectvision.bundle.policy import Policy
from defectvision.evaluation.comparison import compare
from defectvision.evaluation.kept import EvaluationError, Kept
from tests.stand_ins.bundles import LINES
from tests.stand_ins.evaluations import made_up

CASTING = LINES["casting"]
POLICY = Policy(accept_below=0.3, reject_above=0.7)
BOTH = (POLICY, POLICY)


def noisy(kept: Kept, seed: int, by: float = 0.0) -> Kept:
    """The same images with scores that differ by chance, and by `by` towards the right answer."""
    rng = np.random.default_rng(seed)
    logit = np.log(kept.scores / (1 - kept.scores)) + rng.normal(0, 0.7, len(kept))
    score = 1 / (1 + np.exp(-(logit + by * np.where(kept.defective, 1, -1))))
    return with_columns(kept, **{"score": score, "p:def": score, "p:ok": 1 - score})


def with_columns(kept: Kept, **columns: object) -> Kept:
    return replace(kept, images=kept.images.assign(**columns))


@pytest.mark.parametrize("line", LINES.values(), ids=lambda line: line.name)
def test_the_same_twice_is_no_difference(line) -> None:
    kept = made_up(line, 300, 80, skill=0.7)
    found = compare(kept, kept.take(np.arange(len(kept))[::-1]), BOTH)
    groups = len(np.unique(kept.groups))
    assert found.words == f"No difference found on 300 images of {groups} photo groups."
    assert not len(found.differ) and len(found.rows) == 300 and found.alone == (0, 0)
    for one in found.differences:
        if one.difference is not None:
            assert (one.difference, one.low, one.high, one.p) == pytest.approx(
                (0, 0, 0, 1), abs=1e-9
            )
            assert not one.found
    assert (found.rows[:, 1] == 299 - found.rows[:, 0]).all()


def test_a_better_one_is_found_with_interval_and_images() -> None:
    kept = made_up(CASTING, 600, 200, skill=0.4)
    found = compare(noisy(kept, 1), noisy(kept, 2, by=1.0), BOTH)
    by_name = {one.metric: one for one in found.differences}
    for name in ("accuracy", "auc", "brier", "overkills"):
        one = by_name[name]
        assert one.found and one.p < 0.01
        assert (one.difference > 0) == one.better
        assert one.low < one.difference < one.high and one.low * one.high > 0
        assert one.second - one.first == pytest.approx(one.difference)
    assert "differ on 600 images" in found.words and "right label" in found.words
    assert 0 < len(found.differ) < 600


def test_chance_alone_is_found_as_often_as_promised() -> None:
    """Of two that differ by chance alone, each p-value is below 0.05 in about 5 % of the tries, and
    any difference is found in no more of them."""
    counts, any_found = dict.fromkeys(("accuracy", "auc", "brier"), 0), 0
    for seed in range(40):
        kept = made_up(CASTING, 200, 60, skill=0.4, seed=seed)
        found = compare(noisy(kept, 1000 + seed), noisy(kept, 2000 + seed), BOTH)
        for one in found.differences:
            if one.metric in counts:
                counts[one.metric] += one.p < 0.05
        any_found += any(one.found for one in found.differences)
    assert all(count <= 7 for count in counts.values()), counts  # 1 in 500 by chance
    assert any_found <= 7


def test_several_pictures_of_one_group_are_no_more_proof() -> None:
    """Ten copies of each image in its group change no p-value."""
    kept = made_up(CASTING, 60, skill=0.4)
    one, two = noisy(kept, 1), noisy(kept, 2, by=0.4)
    many = np.repeat(np.arange(60), 10)

    def copied(of: Kept) -> Kept:
        rows = of.take(many)
        names = [f"{row:064x}" for row in range(len(many))]
        return with_columns(rows, digest=names)

    single, tenfold = compare(one, two, BOTH), compare(copied(one), copied(two), BOTH)
    for a, b in zip(single.differences, tenfold.differences, strict=True):
        assert a.difference == pytest.approx(b.difference)
        assert a.p == pytest.approx(b.p, abs=1e-6)


def test_images_are_matched_by_what_they_hold() -> None:
    kept = made_up(CASTING, 50)
    first, second = kept.take(np.arange(40)), kept.take(np.arange(10, 50))
    found = compare(first, second, BOTH)
    assert len(found.rows) == 30 and found.alone == (10, 10)
    assert (found.first.images["digest"] == found.second.images["digest"]).all()
    with pytest.raises(EvaluationError, match="no image in common"):
        compare(kept.take(np.arange(10)), kept.take(np.arange(10, 50)), BOTH)
    unread = with_columns(kept, digest="")
    with pytest.raises(EvaluationError, match="no image in common"):
        compare(unread, unread, BOTH)


def test_other_classes_and_other_labels_are_refused() -> None:
    kept = made_up(CASTING, 20)
    with pytest.raises(EvaluationError, match="different classes"):
        compare(kept, made_up(LINES["magnetic-tile"], 20), BOTH)
    other = with_columns(kept, truth=kept.images["truth"].map({"ok": "def", "def": "ok"}))
    with pytest.raises(EvaluationError, match="labelled differently"):
        compare(kept, other, BOTH)
