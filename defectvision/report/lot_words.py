"""Sentences of the lot's report."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime

from defectvision.bundle.line import Line
from defectvision.bundle.schema import Bundle, LoadedBundle
from defectvision.store.inspections import Summary
from defectvision.store.tables import ReleaseRow
from defectvision.words import in_utc, percentage

MOST_WITHOUT = 0.2  # of a lot's images without a verdict of the model
UNMEASURED = "not measured on images that the model has not seen"
NOT_AT_HAND = "not at hand, as the bundle was replaced since"


def measured_escapes(bundle: Bundle) -> str:
    """The share of defective parts that the bundle accepted when it was measured on images that it
    had not seen, with its 95 % interval."""
    for metrics in bundle.metrics:
        escapes = metrics.values.get("escapes")
        if metrics.seen or escapes is None or escapes.value is None:
            continue
        interval = ""
        if escapes.low is not None and escapes.high is not None:
            interval = f" ({percentage(escapes.low)} to {percentage(escapes.high)})"
        return (
            f"{percentage(escapes.value)}{interval} of the defective parts were accepted among "
            f"{metrics.images:,} images not seen in training ({metrics.data}), under the bundle's "
            "own policy"
        )
    return UNMEASURED


def released_words(release: ReleaseRow) -> str:
    """By whom, when, why and as which version."""
    return (
        f"by {release.who}, {in_utc(release.at)}, as version {release.number}, "
        f"{release.title!r}: {release.why}"
    )


def copied(releases: Sequence[ReleaseRow], in_force: bool) -> str:
    """What a report that is none of the kept ones says of a lot's releases. in_force: whether it
    follows the policy of the newest."""
    if not releases:
        return "not released"
    words = released_words(releases[-1])
    if not in_force:
        return f"not under this policy; under its own {words}"
    return f"{words}. This is a copy: the report that was made then is kept"


def replaced_since(version: str, loaded: LoadedBundle) -> str:
    """The word of warning where the bundle that inspected a lot, in `version`, is another one by
    now; empty where it is the same."""
    if loaded.is_version(version):
        return ""
    return (
        f"Inspected with version {version} of the bundle {loaded.bundle.name}, which was replaced "
        f"by version {loaded.version} since: what is known of that one says nothing of this lot."
    )


def without_verdict(lot: Summary, line: Line) -> str:
    """The word of warning on a lot of which the model can judge too little; empty where it can."""
    if not lot.images or lot.unjudged <= MOST_WITHOUT * lot.images:
        return ""
    share = percentage(lot.unjudged / lot.images)
    return (
        f"The model gives no verdict on {share} of the images: they are unlike those of the line "
        f"{line.title}, or too bad to be judged. Is it the wrong line?"
    )


def plain_markdown(text: str) -> str:
    """Markdown without its marks, for a place that does not know them."""
    return re.sub(r"[*_`]+", "", text)


def zone_of(moment: datetime) -> str:
    """The time zone of a moment: its name and its distance from UTC."""
    offset = moment.strftime("%z")
    return f"{moment.tzname() or ''} (UTC{offset[:3]}:{offset[3:5]})".strip()
