"""A filter in the words that stand on a report."""

from __future__ import annotations

import pytest

from defectvision.bundle.policy import Policy, Verdict
from defectvision.store.selection import Filter, Selection
from tests.stand_ins.bundles import LINES


@pytest.mark.parametrize(
    ("filter", "words"),
    [
        (Filter(), "all images"),
        (Filter(verdicts=frozenset({Verdict.REVIEW, Verdict.REJECT})), "verdict reject or review"),
        (Filter(low=0.25), "defect score 0.25 to 1.00"),
        (Filter(text="cast_"), "name contains 'cast_'"),
        (Filter(reviewed=True), "reviewed"),
        (
            Filter(classes=frozenset({"def"}), high=0.5, reviewed=False),
            f"label {LINES['casting'].title_of('def')}, defect score 0.00 to 0.50, not reviewed",
        ),
    ],
)
def test_a_selection_says_what_it_leaves(filter: Filter, words: str) -> None:
    assert Selection(1, LINES["casting"], Policy(), filter).words == words
