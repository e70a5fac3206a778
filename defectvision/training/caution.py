"""What a user of a line from good parts must know before anything else."""

from __future__ import annotations

from defectvision.bundle.schema import Metrics
from defectvision.evaluation.promise import ESCAPES_UNKNOWN
from defectvision.training.good_parts import Learned

TRUSTED = 0.02  # share of defective pictures accepted, up to which it may accept by itself
MUCH_SHRUNK = 2.0  # times; what is a few px wide is then lost


def caution(learned: Learned, metrics: Metrics, shrunk: float) -> str:
    """What a user of such a line must know first, in Markdown. shrunk: px of the pictures per px of
    the input."""
    escapes = metrics.values.get("escapes")
    if escapes is None or escapes.value is None:
        through = ESCAPES_UNKNOWN
    else:
        interval = ""
        if escapes.low is not None and escapes.high is not None:
            interval = f" (95 % interval {escapes.low:.0%} to {escapes.high:.0%})"
        through = f"Of the defective pictures at hand it accepted {escapes.value:.0%}{interval}."
        if escapes.value > TRUSTED:
            through += " **Let a person look at what it accepts.**"
    small = ""
    if shrunk > MUCH_SHRUNK:
        small = (
            f" The pictures are shrunk {shrunk:.1f} times, so small defects may go unseen; the "
            "recipe `good_parts_fine` shrinks them less."
        )
    alone = "and defects by name" if learned.names else "alone"
    names = f" {learned.names}" if learned.names else ""
    return f"**Learned from good parts {alone}.** {learned.words} {through}{names}{small}"
