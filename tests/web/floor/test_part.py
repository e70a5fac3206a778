"""What the shop floor says of a part beside its verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from defectvision.bundle.policy import Policy
from defectvision.people import unproven
from defectvision.store import reviews
from defectvision.store.results import Results
from defectvision.web.floor.part import why
from tests.stand_ins.bundles import LINES
from tests.stand_ins.stores import fill, new_store


@pytest.mark.parametrize(
    ("decisions", "words"),
    [
        ([("ada", "accept", "")], "No defect, by ada"),
        ([("ada", "reject", "3")], "{3}, by ada"),
        ([("ada", "unusable", "")], "by ada"),
        ([("ada", "accept", ""), ("bo", "reject", "3")], "disputed, by ada, bo"),
    ],
)
def test_no_part_is_said_to_be_without_a_defect_but_one_that_people_accepted(
    tmp_path: Path, decisions: list[tuple[str, str, str]], words: str
) -> None:
    store, line, policy = new_store(tmp_path), LINES["severstal-strip"], Policy()
    results = Results.open(store, fill(store, line, 1))
    with store.session() as session:
        for who, decision, label in decisions:
            reviews.decide(session, 1, unproven(who), decision, policy, label)
    part = results.one(1)
    assert part is not None
    assert why(part, policy) == words.replace("{3}", line.title_of("3"))
