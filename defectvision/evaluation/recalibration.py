"""A bundle with a calibration that held-out images support, and the policy that goes with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from defectvision.bundle.labels import is_good_label
from defectvision.bundle.policy import Policy
from defectvision.bundle.schema import DEFECT_SCORE, Bundle, LoadedBundle, Measure, Metrics
from defectvision.evaluation.answers import Answers
from defectvision.evaluation.calibration import fit_calibration
from defectvision.evaluation.evaluate import Evaluation
from defectvision.evaluation.operating_point import review_band
from defectvision.inference.probabilities import calibrated, moved_policy


def without_calibration(loaded: LoadedBundle) -> LoadedBundle:
    """The same bundle as its temperature leaves it, whose policy gives the same verdicts."""
    bundle = loaded.bundle
    if bundle.calibration is None:
        return loaded
    policy = moved_policy(bundle.policy, bundle.calibration, loaded.line, back=True)
    plain = bundle.model_copy(update={"calibration": None, "policy": policy})
    return replace(loaded, bundle=plain)


def recalibrated(plain: LoadedBundle, held_out: Sequence[Answers], fitted_on: str) -> Bundle | None:
    """The bundle with the curves that answers to images it has not seen support; None where they
    support none. plain: without a calibration, as those answers are.

    Its policy is moved along, so that all verdicts stay as they are. On a multilabel line, where
    the classes' curves differ and the largest probability has none of its own, the thresholds of
    the score are chosen anew on the same images.
    """
    line = plain.line
    probabilities = np.concatenate([answers.probabilities for answers in held_out])
    labels = [label for one in held_out for label in one.catalog.table["label"].iloc[one.rows]]
    groups = [group for one in held_out for group in one.groups.tolist()]
    found = fit_calibration(probabilities, labels, groups, line, fitted_on)
    if found is None:
        return None
    policy: Policy = moved_policy(plain.bundle.policy, found, line)
    if line.label_mode == "multilabel":
        good = np.array([is_good_label(label) for label in labels], bool)
        band = review_band(calibrated(probabilities, found, line).max(1), good)
        policy = policy.model_copy(
            update={"accept_below": band.accept_below, "reject_above": band.reject_above}
        )
    return plain.bundle.model_copy(update={"calibration": found, "policy": policy})


def cross_fitted(evaluation: Evaluation, made: Bundle) -> Metrics:
    """The figures of the images that the bundle's calibration was fitted on, with the calibration
    errors that were found while it was fitted on others of them."""
    assert made.calibration is not None
    error, values = "calibration_error", dict(evaluation.metrics.values)
    for name, rate in made.calibration.rates.items():
        values[error if name == DEFECT_SCORE else f"{error}/{name}"] = rate.after
    if DEFECT_SCORE not in made.calibration.rates:
        found = [m.value for key, m in values.items() if key.startswith(f"{error}/") and m]
        values[error] = Measure(value=float(np.mean([v for v in found if v is not None])))
    return evaluation.metrics.model_copy(update={"values": values})
