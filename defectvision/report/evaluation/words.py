"""An operating point in words and rows, the same on the command line, in reports and on pages."""

from __future__ import annotations

from defectvision.evaluation.consequences import PARTS, Consequence, Expected, Share
from defectvision.evaluation.kept import Kept
from defectvision.evaluation.promises import percent
from defectvision.words import capital

REVIEWED = (
    "Reviewed images: the bundle knows the very files that it learned from; near-copies and other "
    "pictures of the same parts are not looked for, and each file counts as a part of its own."
)
MOSTLY_STOPPED = (
    "People look at what the model stops. Parts that it accepted and nobody looked at are not "
    "among these, so far more defective ones may escape than the figures say. Have some accepted "
    "parts reviewed as well, chosen by chance."
)


def what_reviews_lack(kept: Kept) -> list[str]:
    """What must be known of figures on images that people decided on; nothing of other ones."""
    if not (kept.images["inspection"] >= 0).any():
        return []
    return [REVIEWED, *([MOSTLY_STOPPED] if kept.line.can_accept else [])]


def consequence_rows(found: Consequence) -> list[tuple[str, str, str, str, str]]:
    """What a policy does, its share of the images, the interval, the counts, and what is expected
    per 1000 parts; empty where that is not known."""
    rows = (
        ("defective parts accepted (escapes)", found.escapes, found.expected_escapes),
        ("good parts rejected (overkill)", found.overkills, found.expected_overkills),
        ("parts to a person", found.reviews, found.expected_reviews),
        ("of them good", found.good_reviews, None),
        ("of them defective", found.defective_reviews, None),
    )
    return [
        (name, *_of(share), "" if expected is None else expected_words(expected))
        for name, share, expected in rows
    ]


def _of(share: Share) -> tuple[str, str, str]:
    if share.value is None or share.low is None or share.high is None:
        return "", "", ""
    interval = f"{percent(share.low)} to {percent(share.high)}"
    return percent(share.value), interval, f"{share.count:,} of {share.of:,}"


def expected_words(found: Expected) -> str:
    """ "1.2 (0.4 to 2.3)" """
    return f"{found.value:.3g} ({found.low:.3g} to {found.high:.3g})"


def consequence_words(found: Consequence) -> str:
    """One sentence of what a policy does, with intervals."""
    names = ("escapes (defective parts accepted)", "overkill (good parts rejected)", "to a person")
    said = []
    for name, share in zip(names, (found.escapes, found.overkills, found.reviews), strict=True):
        value, interval, counts = _of(share)
        if value:
            said.append(f"{name} {value} ({interval}; {counts})")
    words = "; ".join(said) + "."
    if found.cost is not None:
        words += f" Expected cost per {PARTS} parts: {expected_words(found.cost)}."
    return capital(words)
