"""A bundle is asked about a labelled set or about reviewed images, and all of it is kept."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from pathlib import Path

import cv2
import numpy as np
import pytest

from defectvision.batch.evaluating import evaluate_reviewed, evaluate_set, policy_of, work_on
from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import load_bundle
from defectvision.data.synthetic.samples import draw
from defectvision.evaluation.kept import EvaluationError
from defectvision.evaluation.outcomes import verdicts
from defectvision.inference.inspector import Inspector
from defectvision.limits import PIXELS, Limits
from defectvision.people import unproven
from defectvision.report.evaluation.content import content_of
from defectvision.store import batches, evaluations, policies, reviews
from defectvision.store.database import Store
from defectvision.store.errors import StoreError
from defectvision.store.evaluations import LabelledSet, Reviewed, State
from defectvision.store.results import Results
from defectvision.store.tables import InspectionRow
from tests.stand_ins.bundles import LINES, write_bundle
from tests.stand_ins.stores import fill, new_store

ADA = unproven("Ada")
LIMITS = Limits(PIXELS, 10**9, ())


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return new_store(tmp_path)


@pytest.fixture(scope="module")
def inspector(weights: Path) -> Inspector:
    return Inspector(load_bundle(weights, "casting"), PIXELS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three good and three defective parts, and a file that is no picture."""
    root = tmp_path / "set"
    for name, label in (("ok", "ok"), ("def", "def")):
        (root / name).mkdir(parents=True)
        for seed in range(3):
            image = draw("casting", label, np.random.default_rng(seed), 160)
            cv2.imwrite(str(root / name / f"{seed}.png"), image)
    (root / "def/broken.png").write_bytes(b"no picture")
    return root


@pytest.mark.slow
def test_a_set_is_kept_with_files_answers_and_failures(folder, inspector, tmp_path) -> None:
    seen: list[tuple[int, int]] = []
    kept, metrics = evaluate_set(
        inspector, LabelledSet(path=str(folder)), Policy(), tmp_path / "cache",
        advance=lambda *at: seen.append(at),
    )  # fmt: skip
    assert [failed.name for failed in kept.about.failures] == ["def/broken.png"]
    assert len(kept) == 6 and seen[-1] == (7, 7) and kept.unseen.all()
    assert kept.about.root == str(folder) and metrics == kept.about.metrics
    for row in kept.images.itertuples():
        data = (folder / row.path).read_bytes()
        assert row.digest == hashlib.sha256(data).hexdigest()
        found = inspector.inspect(data, row.path)
        assert (found.defect_score, not found.objections) == (row.score, row.judged)
        assert row.truth == Path(row.path).parent.name
        expected = found.verdict(Policy()).value
        assert ("accept", "review", "reject")[verdicts(kept, Policy())[row.Index]] == expected


@pytest.mark.slow
def test_what_the_bundle_learned_from_is_marked_and_left_out_of_the_figures(
    folder, tmp_path
) -> None:
    write_bundle(tmp_path, "casting", "own")
    loaded = load_bundle(tmp_path, "casting", "own")
    digest = hashlib.sha256((folder / "ok/0.png").read_bytes()).hexdigest()[:16]
    (loaded.folder / "trained_on.txt").write_text(digest)
    knows, notes = Inspector(loaded, PIXELS), []
    kept, metrics = evaluate_set(
        knows, LabelledSet(path=str(folder)), Policy(), tmp_path / "cache", note=notes.append
    )
    assert kept.images.set_index("path").loc["ok/0.png", "seen"] == "same image"
    assert 0 < kept.unseen.sum() < 6
    assert kept.about.metrics.images == kept.unseen.sum() and metrics.images == 6
    assert len(notes) == 1 and notes[0].endswith("; included")
    without, _ = evaluate_set(
        knows, LabelledSet(path=str(folder), seen=False), Policy(), tmp_path / "cache"
    )
    assert len(without) == kept.unseen.sum()


def decided(store: Store, number: int, decisions: dict[int, tuple[str, str]]) -> None:
    """Let people decide on some inspections of a batch, by place: (decision, label)."""
    with store.session() as session:
        ids = [row.id for row in batches.images_in(session, number, "done")]
        for place, (decision, label) in decisions.items():
            reviews.decide(session, ids[place], ADA, decision, Policy(), label)


def test_reviewed_images_of_the_same_version_are_not_inspected_again(
    store, inspector, monkeypatch
) -> None:
    number = fill(store, LINES["casting"], 12)
    fill(store, LINES["casting"], 12, seed=1)
    version = inspector.loaded.version
    with store.session() as session:
        for row in session.query(InspectionRow):
            row.bundle_version, row.digest = version, f"{row.id:064x}"
    decided(
        store,
        number,
        {0: ("accept", ""), 1: ("reject", "def"), 3: ("unusable", ""), 5: ("reject", "def")},
    )
    monkeypatch.setattr(Inspector, "_attempt", None)
    kept = evaluate_reviewed(store, inspector, Reviewed(), Policy())
    results = Results.open(store, number)
    assert kept.images["inspection"].tolist() == [1, 2, 6]
    assert kept.images["truth"].tolist() == ["ok", "def", "def"]
    assert kept.images["decided_by"].tolist() == ["Ada"] * 3
    assert kept.images["group"].nunique() == 3 and not kept.about.root
    for row in kept.images.itertuples():
        part = results.one(row.inspection)
        assert (part.defect_score, not part.objections) == (row.score, row.judged)
        code = verdicts(kept, Policy())[row.Index]
        assert ("accept", "review", "reject")[code] == part.verdict(Policy()).value


def test_a_file_that_was_decided_on_twice_counts_once_with_the_last_word(store, inspector) -> None:
    number = fill(store, LINES["casting"], 3)
    with store.session() as session:
        for row in session.query(InspectionRow):
            row.bundle_version, row.digest = inspector.loaded.version, "a" * 64
    decided(store, number, {0: ("accept", ""), 1: ("reject", "def")})
    kept = evaluate_reviewed(store, inspector, Reviewed(batches=(number,)), Policy())
    assert kept.images["truth"].tolist() == ["def"]


@pytest.mark.slow
def test_another_bundle_is_asked_anew_where_the_picture_is_kept(store, inspector, folder) -> None:
    number = fill(store, LINES["casting"], 3)
    data = (folder / "def/1.png").read_bytes()
    with store.session() as session:
        rows = batches.images_in(session, number, "done")
        rows[0].digest, rows[0].stored = store.files.put(data), True
    decided(store, number, {0: ("reject", "def"), 1: ("accept", "")})
    kept = evaluate_reviewed(store, inspector, Reviewed(), Policy())
    assert kept.images["score"].tolist() == [inspector.inspect(data, "x").defect_score]
    (failed,) = kept.about.failures
    assert failed.reason == "its picture was not kept"


def test_reviewed_images_that_the_bundle_learned_from_are_no_test_of_it(store, tmp_path) -> None:
    """Reviewed parts are what the next bundle is taught by."""
    write_bundle(tmp_path, "casting", "taught")
    loaded = load_bundle(tmp_path, "casting", "taught")
    digests = ["a" * 64, "b" * 64, "c" * 64]
    (loaded.folder / "trained_on.txt").write_text(f"{digests[0][:16]}\n{digests[2][:16]}")
    number = fill(store, LINES["casting"], 3)
    with store.session() as session:
        for row, digest in zip(session.query(InspectionRow), digests, strict=True):
            row.bundle_version, row.digest = loaded.version, digest
    decided(store, number, dict.fromkeys(range(3), ("reject", "def")))
    taught, notes = Inspector(loaded, PIXELS), list[str]()
    kept = evaluate_reviewed(store, taught, Reviewed(), Policy(), note=notes.append)
    assert len(notes) == 1 and notes[0].startswith("2 of 3 images are known")
    assert kept.images["seen"].tolist() == ["same image", "no", "same image"]
    assert kept.about.metrics.images == 1 and not kept.about.metrics.seen
    said = " ".join(content_of(kept, Policy()).warnings)
    assert "2 images of 3 left out" in said and "near-copies and other pictures" in said
    assert "nobody looked at" in said


def test_a_file_that_was_overwritten_is_not_taken_for_the_part_that_was_decided_on(
    store, inspector, folder
) -> None:
    """A camera that begins its names anew leaves another part under the name of the first."""
    number = fill(store, LINES["casting"], 2)
    with store.session() as session:
        same, other = batches.images_in(session, number, "done")
        same.bundle_version, same.digest = inspector.loaded.version, "a" * 64
        other.path, other.digest = str(folder / "ok/0.png"), "b" * 64
    decided(store, number, {0: ("accept", ""), 1: ("reject", "def")})
    kept = evaluate_reviewed(store, inspector, Reviewed(), Policy())
    assert kept.images["inspection"].tolist() == [same.id]
    (failed,) = kept.about.failures
    assert failed.reason == "its file is another one than the one that was inspected"


def test_only_what_was_asked_for_is_reviewed(store, inspector) -> None:
    number = fill(store, LINES["casting"], 4)
    other = fill(store, LINES["magnetic-tile"], 4)
    with store.session() as session:
        for row in session.query(InspectionRow):
            row.bundle_version, row.digest = inspector.loaded.version, f"{row.id:064x}"
        first, second = batches.images_in(session, number, "done")[:2]
        first.at = second.at - timedelta(days=3)
    decided(store, number, {0: ("accept", ""), 1: ("accept", "")})
    with store.reading() as session:
        moment = session.get(InspectionRow, 2).at
    late = evaluate_reviewed(store, inspector, Reviewed(since=moment), Policy())
    assert late.images["inspection"].tolist() == [2]
    early = evaluate_reviewed(store, inspector, Reviewed(until=moment), Policy())
    assert early.images["inspection"].tolist() == [1]
    with pytest.raises(StoreError, match="of line 'magnetic-tile'"):
        evaluate_reviewed(store, inspector, Reviewed(batches=(other,)), Policy())
    with pytest.raises(StoreError, match="no batch 99"):
        evaluate_reviewed(store, inspector, Reviewed(batches=(99,)), Policy())
    nothing = Reviewed(until=moment - timedelta(days=9))
    with pytest.raises(EvaluationError, match="nobody has decided on any"):
        evaluate_reviewed(store, inspector, nothing, Policy())


@pytest.mark.slow
def test_work_ends_with_what_was_found_or_with_why_not(store, weights, folder, tmp_path) -> None:
    loaded = load_bundle(weights, "casting")
    strict = Policy(accept_below=0.01, reject_above=0.02)
    with store.session() as session:
        policies.save(session, "casting", "resnet50", strict, ADA, "a trial", Policy())
        good, bad, replaced = (
            evaluations.add_evaluation(session, loaded, LabelledSet(path=str(path)), ADA)
            for path in (folder, tmp_path / "nothing", folder)
        )
        replaced.bundle_version = "another"
    args = (store, weights, LIMITS, tmp_path / "cache")
    kept = work_on(*args, good.id)
    assert kept.about.policy == strict == policy_of(store, loaded)
    assert evaluations.open_evaluation(store, good.id).images.equals(kept.images)
    assert work_on(*args, bad.id) is None and work_on(*args, replaced.id) is None
    with store.reading() as session:
        states = [(row.state, row.message) for row in evaluations.list_evaluations(session)[::-1]]
    assert [state for state, _ in states] == [State.DONE, State.FAILED, State.FAILED]
    assert "nothing" in states[1][1] and "was replaced" in states[2][1]
