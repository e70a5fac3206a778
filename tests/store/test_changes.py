"""What the database says of two batches is what the policies say of each pair."""

from __future__ import annotations

from collections import Counter

import pytest
from sqlalchemy import update

from defectvision.bundle.policy import Policy, Verdict
from defectvision.people import unproven
from defectvision.report.changes import CHANGES_COLUMNS, changes_csv, in_words
from defectvision.store import reviews
from defectvision.store.changes import Changes
from defectvision.store.results import Results
from defectvision.store.tables import InspectionRow
from tests.stand_ins.bundles import LINES
from tests.stand_ins.stores import fill, new_store

POLICIES = (Policy(accept_below=0.2, reject_above=0.5), Policy(accept_below=0.1, reject_above=0.6))


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
@pytest.mark.parametrize("name", ["casting", "neu-surface", "severstal-strip"])
@pytest.mark.parametrize("by_people", [True, False])
def test_pairs_are_those_of_equal_content(name, database, by_people, tmp_path, request) -> None:
    place = request.getfixturevalue("postgres")() if database == "postgresql" else ""
    store, line = new_store(tmp_path, place), LINES[name]
    numbers = [fill(store, line, 80, seed) for seed in (0, 1)]
    with store.session() as session:
        for number, shift in zip(numbers, (0, 8), strict=True):
            for i in range(80):  # every fourth image stands twice, six are each batch's own
                content = f"{(i if i % 4 else i + 1) + shift:064x}"
                session.execute(
                    update(InspectionRow)
                    .where(InspectionRow.batch_id == number)
                    .where(InspectionRow.name == f"part_{i:06d}.png")
                    .values(digest=content)
                )
        for part in (10, 13, 20):  # 20 is the first of two of one content, 13 the second
            decision = ("reject", line.defect_names[0])
            reviews.decide(
                session, part + 1, unproven("ada"), decision[0], POLICIES[0], decision[1]
            )
    before, after = (Results.open(store, number) for number in numbers)
    changes = Changes(before, after, POLICIES, by_people)

    sides = []
    for results, policy in zip((before, after), POLICIES, strict=True):
        found: dict[str, tuple] = {}
        for one in results.every(results.selection(policy)):
            said = one.final_verdict(policy), one.final_labels(policy)
            if not by_people:
                said = one.verdict(policy), () if one.objections else one.labels(policy)
            if one.row.digest not in found or (one.decision and not found[one.row.digest][2]):
                found[one.row.digest] = (*said, one.decision, one.id)
        sides.append(found)
    both = sides[0].keys() & sides[1].keys()
    pairs = [(sides[0][digest], sides[1][digest]) for digest in both]
    counts = changes.counts()
    assert counts.verdicts == Counter((one[0], two[0]) for one, two in pairs)
    assert counts.alone == tuple(len(side) - len(both) for side in sides) != (0, 0)
    renamed = [
        (one, two)
        for one, two in pairs
        if one[0] == two[0] == Verdict.REJECT and set(one[1]) != set(two[1])
    ]
    assert counts.renamed == len(renamed)
    wanted = {(one[3], two[3]) for one, two in pairs if one[0] != two[0]}
    wanted |= {(one[3], two[3]) for one, two in renamed}
    assert wanted and {(a.id, b.id) for a, b in changes.every()} == wanted
    assert any(one[2] for one, _ in pairs)  # people's decisions are among them
    for cell, count in counts.verdicts.items():
        listed = list(changes.every(cell))
        assert len(listed) == count == len({one.row.digest for one, _ in listed})
        assert [a.id for a, _ in changes.page(cell, 1, 2)] == [a.id for a, _ in listed[1:3]]
    rows = changes_csv(changes).decode("utf-8-sig").splitlines()
    assert rows[0] == ",".join(CHANGES_COLUMNS) and len(rows) == 1 + len(wanted)
    assert f"{counts.changed} image" in in_words(counts)
