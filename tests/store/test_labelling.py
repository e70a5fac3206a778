"""Labelled sets keep every label, exact masks, and what is held back for measuring."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from sqlalchemy import event, select, true

from defectvision.bundle.line import DefectClass
from defectvision.people import unproven
from defectvision.store import dropped, labelling
from defectvision.store.backup import files_named
from defectvision.store.database import Store
from defectvision.store.errors import LostFileError, StoreError
from defectvision.store.files import digest_of
from defectvision.store.label_files import keep_masks, kept_masks
from defectvision.store.labelling import Given
from defectvision.store.tables import DroppedFileRow, LabelledImageRow, LabelRow
from tests.stand_ins.stores import new_store

ADA, BO = unproven("ada"), unproven("bo")
CLASSES = [
    DefectClass(name="good", title="Good", kind="ok", colour="#00aa00"),
    DefectClass(name="crack", title="Crack", kind="defect", colour="#aa0000"),
    DefectClass(name="dent", title="Dent", kind="defect", colour="#0000aa"),
]
SIZE = (48, 64)


def picture(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, SIZE).astype(np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()


def marked(*place: slice) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[place] = True
    return mask


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return filled(new_store(tmp_path))


def filled(made: Store) -> Store:
    """A set of six images, of which none is labelled."""
    with made.session() as session:
        labelling.new_set(session, " Caps  of steel ", "caps", CLASSES, "multiclass", ADA)
    files = [Given(f"cap {i}.png", picture(i)) for i in range(6)]
    labelling.add_images(made, 1, files, 10**6, ADA)
    return made


def label(store: Store, *labels: str) -> None:
    for image, name in enumerate(labels, 1):
        labelling.say(store, image, [name], {}, ADA)


def test_of_two_who_label_at_the_same_moment_the_last_word_stands(tmp_path, postgres) -> None:
    store, others = filled(new_store(tmp_path, postgres())), list[Future]()

    def meanwhile(_mapper: object, _connection: object, said: LabelRow) -> None:
        if said.label == "good":
            others.append(pool.submit(labelling.say, store, 1, ["dent"], {}, BO))
            wait(others, timeout=0.5)

    event.listen(LabelRow, "after_insert", meanwhile)
    try:
        with ThreadPoolExecutor(1) as pool:
            labelling.say(store, 1, ["good"], {}, ADA)
    finally:
        event.remove(LabelRow, "after_insert", meanwhile)
    assert others[0].result().label == "dent"
    with store.reading() as session:
        last = labelling.labels_of(session, 1)[-1]
        assert session.get_one(LabelledImageRow, 1).label == last.label == "dent"


def test_images_count_once_and_bad_files_are_named(store) -> None:
    files = [Given("again.png", picture(0)), Given("bad.png", b"no"), Given("new.png", picture(9))]
    added = labelling.add_images(store, 1, files, 10**6, BO)
    assert added.images == {digest_of(picture(9)): 7}
    assert added.again == {digest_of(picture(0)): 1}
    assert [error.name for error in added.refused] == ["bad.png"]
    with store.session() as session:
        assert labelling.remove_images(session, [1], BO) == 1
        assert [row.id for row in labelling.images_of(session, 1)] == [2, 3, 4, 5, 6, 7]
    back = labelling.add_images(store, 1, [Given("again.png", picture(0))], 10**6, BO)
    assert back.images == {digest_of(picture(0)): 1}


def test_the_last_label_counts_and_none_is_lost(store) -> None:
    crack = marked(slice(2, 9), slice(5, 11))
    labelling.say(store, 1, ["crack"], {"crack": crack}, ADA)
    labelling.say(store, 1, ["good"], {}, BO)
    with store.reading() as session:
        said = labelling.labels_of(session, 1)
        row = labelling.images_of(session, 1, labelled=True)[0]
        assert [(one.who, one.label) for one in said] == [("ada", "crack"), ("bo", "good")]
        assert (row.label, row.masks) == ("good", None)
        assert labelling.count_labels(session, 1) == {"good": 1}
    assert np.array_equal(kept_masks(store.files, said[0].masks)["crack"], crack)


@pytest.mark.parametrize(
    ("names", "masks", "words"),
    [
        (["crack", "dent"], {}, "takes one class, and got 2"),
        ([], {}, "takes one class, and got 0"),
        (["rust"], {}, "no class 'rust'"),
        (["good"], {"crack": marked(slice(0, 2))}, "'crack' was drawn"),
        (["good"], {"good": marked(slice(0, 2))}, "'good' was drawn"),
        (["crack"], {"crack": np.ones((3, 3), bool)}, "another size"),
    ],
)
def test_what_cannot_be_so_is_refused(store, names, masks, words) -> None:
    with pytest.raises(StoreError, match=words):
        labelling.say(store, 1, names, masks, ADA)
    with store.reading() as session:
        assert not labelling.labels_of(session, 1)


def test_several_labels_of_one_image_and_of_a_good_one(tmp_path) -> None:
    store = new_store(tmp_path)
    with store.session() as session:
        labelling.new_set(session, "Strips", "strips", CLASSES[1:], "multilabel", ADA)
    labelling.add_images(store, 1, [Given(f"{i}", picture(i)) for i in range(2)], 10**6, ADA)
    labelling.say(store, 1, ["dent", "crack"], {"dent": marked(slice(0, 4))}, ADA)
    labelling.say(store, 2, [], {}, ADA)
    with store.reading() as session:
        assert [row.label for row in labelling.images_of(session, 1)] == ["crack|dent", ""]
        assert labelling.count_labels(session, 1) == {"crack": 1, "dent": 1, "": 1}


def test_held_parts_stay_whole_and_stay_held(store) -> None:
    files = [Given(f"side {i}.png", picture(100 + i), part=f"cap {i // 2}") for i in range(20)]
    labelling.add_images(store, 1, files, 10**6, ADA)
    label(store, *["good"] * 26)
    with store.session() as session:
        held = labelling.hold_back(session, 1, ADA, 0.25)
        rows = labelling.images_of(session, 1, held=True)
        first = {row.id for row in rows}
        parts = {row.part for row in labelling.images_of(session, 1, held=False)} - {""}
        assert len(rows) == held and not parts & {row.part for row in rows}
        assert 4 <= len({row.part or row.digest for row in rows}) <= 4
    labelling.add_images(store, 1, [Given(f"m{i}", picture(200 + i)) for i in range(8)], 10**6, ADA)
    for image in range(27, 35):
        labelling.say(store, image, ["crack"], {}, ADA)
    with store.session() as session:
        labelling.hold_back(session, 1, ADA, 0.25)
        assert first < {row.id for row in labelling.images_of(session, 1, held=True)}
        cracks = [row for row in labelling.images_of(session, 1, held=True) if row.label == "crack"]
        assert len(cracks) == 2


def test_agreement_of_two_people(store) -> None:
    assert labelling.agreement(store, 1) == labelling.Agreement(0, None, None, ())
    left, right = marked(slice(None), slice(0, 20)), marked(slice(None), slice(10, 30))
    labelling.say(store, 1, ["crack"], {"crack": left}, ADA)
    labelling.say(store, 1, ["crack"], {"crack": right}, BO)
    for image, (ada, bo) in enumerate([("good", "good"), ("good", "dent"), ("dent", "dent")], 2):
        labelling.say(store, image, [ada], {}, ADA)
        labelling.say(store, image, [bo], {}, BO)
    found = labelling.agreement(store, 1)
    assert (found.images, found.differ) == (4, (3,))
    assert found.iou == pytest.approx(1 / 3)
    # Observed 3 of 4; by chance (1*1 + 2*1 + 1*2) / 16.
    assert found.kappa == pytest.approx((0.75 - 5 / 16) / (1 - 5 / 16))


def test_files_of_labelled_sets_are_needed(store) -> None:
    said = labelling.say(store, 1, ["crack"], {"crack": marked(slice(1, 2))}, ADA)
    digest = store.files.put(picture(0))
    with store.session() as session:
        dropped.drop(session, [digest, said.masks, "ab" * 32], "ada")
        dropped._keep_named(session, true())
        assert list(session.scalars(select(DroppedFileRow.digest))) == ["ab" * 32]
    with store.engine.connect() as connection:
        assert {digest, said.masks} <= {one.digest for one in files_named(connection)}


@given(arrays(bool, SIZE), arrays(bool, SIZE))
def test_masks_come_back_to_the_pixel(tmp_path_factory, first, second) -> None:
    files = new_store(tmp_path_factory.mktemp("masks")).files
    found = kept_masks(files, keep_masks(files, {"a": first, "b": second}))
    wanted = {name: mask for name, mask in (("a", first), ("b", second)) if mask.any()}
    assert found.keys() == wanted.keys()
    assert all(np.array_equal(found[name], wanted[name]) for name in wanted)


def test_a_damaged_file_of_masks_says_so(store) -> None:
    for content in (b"", b"x" * 99):
        with pytest.raises(LostFileError, match="is damaged"):
            kept_masks(store.files, store.files.put(content))


def test_a_set_needs_a_name_and_classes_that_tell_apart(store) -> None:
    with store.session() as session:
        for title, classes, words in (
            (" ", CLASSES, "needs a name"),
            ("x", CLASSES[:1], "tells nothing apart"),
            ("x", [CLASSES[0], CLASSES[0]], "two classes are named"),
        ):
            with pytest.raises(StoreError, match=words):
                labelling.new_set(session, title, "x", classes, "multiclass", ADA)
        with pytest.raises(StoreError, match="needs a reason"):
            labelling.end_set(session, 1, ADA, " ")
        labelling.end_set(session, 1, ADA, "taught")
        assert labelling.every_set(session) == []
