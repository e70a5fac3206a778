"""How far a part is from the good parts that its bundle remembers, against its limit."""

from __future__ import annotations

import math

from defectvision.bundle.labels import DEVIATION
from defectvision.bundle.policy import Policy
from defectvision.bundle.schema import Bundle
from defectvision.inference.inspection import Inspection
from defectvision.inference.probabilities import moved_policy


def times_the_limit(inspection: Inspection, bundle: Bundle, policy: Policy) -> float | None:
    """The distance of the part's farthest places from anything remembered, of the distance from
    which on `policy` accepts no more; None where the limit is no distance.

    The log-odds of a deviation are that distance times a factor, which the evidence adds up to, and
    a constant. Where defects with names are known too, it is the limit for a part that shows none.
    """
    if bundle.calibration is not None:
        policy = moved_policy(policy, bundle.calibration, inspection.line, back=True)
    limit = policy.accept_below
    if not 0 < limit < 1:
        return None
    defect = inspection.line.class_names.index(DEVIATION)
    bias = float(inspection.evidence_bias[defect])
    allowed = bundle.temperature * math.log(limit / (1 - limit)) - bias
    return (float(inspection.logits[defect]) - bias) / allowed if allowed > 0 else None


def farness_in_words(times: float) -> str:
    """ "The farthest places are 1.8 times the limit from anything remembered." """
    shown = f"{times:.1f}" if f"{times:.1f}" != "1.0" else f"{times:.2f}"
    return f"The farthest places are {shown} times the limit from anything remembered."
