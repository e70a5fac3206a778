"""A bundle is given curves, and its policy goes along; what was fitted can be taken off again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from defectvision.bundle.labels import is_good_label
from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import BundleError, load_bundle
from defectvision.bundle.schema import DEFECT_SCORE, Beta, Calibration, LoadedBundle
from defectvision.bundle.writer import record_calibration
from defectvision.data.catalog import Catalog, catalog_table
from defectvision.evaluation.answers import Answers
from defectvision.evaluation.metrics import judge
from defectvision.evaluation.recalibration import recalibrated, without_calibration
from defectvision.inference.probabilities import calibrated, sigmoid
from tests.stand_ins.bundles import write_bundle

COUNT = 600


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    for line in ("casting", "severstal-strip"):
        write_bundle(tmp_path, line, "b")
    return tmp_path


def answers(loaded: LoadedBundle, odds: np.ndarray, labels: list[str]) -> Answers:
    """Answers of a model that says `odds` of each defect (N, D), each image a group of its own."""
    rows = {"path": [f"{i}.png" for i in range(len(odds))], "label": labels}
    catalog = Catalog(Path("made-up"), catalog_table(rows), "made-up")
    made = Answers(catalog, loaded.line, loaded.bundle, loaded.bundle.policy)
    values = sigmoid(odds)
    if loaded.line.label_mode == "multiclass":
        values = np.hstack([1 - values, values])
    made.rows = list(range(len(odds)))
    made._probabilities = values.tolist()
    return made


def too_sure(loaded: LoadedBundle) -> Answers:
    rng = np.random.default_rng(0)
    names = loaded.line.defect_names
    odds = rng.normal(-1, 3, (COUNT, len(names)))
    shown = rng.random(odds.shape) < sigmoid(odds / 3)
    labels = ["|".join(n for n, s in zip(names, row, strict=True) if s) for row in shown]
    if loaded.line.can_accept and loaded.line.label_mode == "multiclass":
        labels = [label or loaded.line.good_names[0] for label in labels]
    return answers(loaded, odds, labels)


def verdicts_of(probabilities: np.ndarray, of: Answers, policy: Policy) -> list[str]:
    labels = of.catalog.table["label"].tolist()
    unobjected = np.ones(len(labels), bool)
    judged = judge(probabilities, unobjected, labels, of.groups.tolist(), of.line, policy)
    return judged["verdict"].tolist()


def test_verdicts_stay_and_the_errors_of_probabilities_fall(weights) -> None:
    loaded = load_bundle(weights, "casting", "b")
    held_out = too_sure(loaded)
    made = recalibrated(loaded, [held_out], "made-up images")
    assert made is not None and made.calibration is not None
    rate = made.calibration.rates[DEFECT_SCORE]
    assert rate.after.value < 0.05 < rate.before.value
    assert rate.after.low <= rate.after.value <= rate.after.high
    record_calibration(loaded.folder, made)
    after = load_bundle(weights, "casting", "b")
    assert after.bundle == made and after.version != loaded.version
    card = (after.folder / "README.md").read_text()
    assert "### Calibration" in card and "made-up images (600 photo groups)" in card

    moved = calibrated(held_out.probabilities, made.calibration, after.line)
    verdicts = [
        verdicts_of(held_out.probabilities, held_out, loaded.bundle.policy),
        verdicts_of(moved, held_out, after.bundle.policy),
    ]
    assert verdicts[0] == verdicts[1]
    assert set(verdicts[0]) == {"accept", "review", "reject"}

    plain = without_calibration(after)
    assert plain.bundle.calibration is None
    assert plain.bundle.policy.accept_below == pytest.approx(loaded.bundle.policy.accept_below)
    again = recalibrated(plain, [held_out], "made-up images")
    assert again is not None and again.calibration == made.calibration


def test_answers_in_several_folds_are_asked_together(weights) -> None:
    loaded = load_bundle(weights, "casting", "b")
    whole = too_sure(loaded)
    parts = []
    for rows in (slice(None, COUNT // 2), slice(COUNT // 2, None)):
        table = whole.catalog.table.iloc[rows].reset_index(drop=True)
        part = Answers(
            replace(whole.catalog, table=table), loaded.line, loaded.bundle, loaded.bundle.policy
        )
        part.rows = list(range(len(table)))
        part._probabilities = whole.probabilities[rows].tolist()
        parts.append(part)
    assert recalibrated(loaded, parts, "x") == recalibrated(loaded, [whole], "x")


def test_on_a_multilabel_line_the_score_has_thresholds_anew(weights) -> None:
    loaded = load_bundle(weights, "severstal-strip", "b")
    held_out = too_sure(loaded)
    made = recalibrated(loaded, [held_out], "made-up images")
    assert made is not None and made.calibration is not None
    assert set(made.calibration.curves) == set(loaded.line.class_names)
    scores = calibrated(held_out.probabilities, made.calibration, loaded.line).max(axis=1)
    good = np.array([is_good_label(label) for label in held_out.catalog.table["label"]])
    assert 0.05 <= made.policy.accept_below <= 0.5 <= made.policy.reject_above <= 0.95
    escapes = scores[~good] < made.policy.accept_below
    assert escapes.mean() <= 0.011 or made.policy.accept_below == 0.05


def test_answers_that_are_right_as_they_are_change_nothing(weights) -> None:
    loaded = load_bundle(weights, "casting", "b")
    rng = np.random.default_rng(1)
    odds = rng.normal(0, 3, (COUNT, 1))
    labels = np.where(rng.random(COUNT) < sigmoid(odds[:, 0]), "def", "ok").tolist()
    assert recalibrated(loaded, [answers(loaded, odds, labels)], "x") is None
    assert without_calibration(loaded) is loaded


@pytest.mark.parametrize(("line", "name"), [("casting", "def"), ("severstal-strip", DEFECT_SCORE)])
def test_a_calibration_of_other_classes_is_refused(weights, line, name) -> None:
    loaded = load_bundle(weights, line, "b")
    wrong = Calibration(curves={name: Beta(a=1, b=1, c=0)}, fitted_on="x", images=1, groups=1)
    record_calibration(
        loaded.folder,
        replace(loaded, bundle=loaded.bundle.model_copy(update={"calibration": wrong})).bundle,
    )
    with pytest.raises(BundleError, match=r"bundle\.json: its calibration is not of the classes"):
        load_bundle(weights, line, "b")


def test_the_policy_of_the_bundle_is_the_one_that_moves(weights) -> None:
    loaded = load_bundle(weights, "casting", "b")
    made = recalibrated(loaded, [too_sure(loaded)], "x")
    assert made is not None and made.policy != loaded.bundle.policy
    assert made.policy.accept_below > loaded.bundle.policy.accept_below  # it was too sure
    assert isinstance(made.policy, Policy)
