"""The Evaluate page over kept evaluations, without a browser."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from defectvision.batch import evaluation_start
from defectvision.bundle.policy import Policy
from defectvision.bundle.reader import load_bundle
from defectvision.data.image_set import open_set
from defectvision.evaluation.charts import verdict_table
from defectvision.limits import PIXELS
from defectvision.people import unproven
from defectvision.settings import ROOT, settings
from defectvision.store import evaluations, labelling
from defectvision.store.database import open_store
from defectvision.web.evaluate import opening
from defectvision.web.evaluate.comparing import _policy_of
from defectvision.web.evaluate.opening import Opened
from defectvision.web.evaluate.views import (
    ESCAPES,
    MISTAKES,
    PART,
    WORST,
    View,
    images_of,
    in_words,
)
from tests.stand_ins.bundles import LINES, write_bundle
from tests.stand_ins.castings import casting
from tests.stand_ins.evaluations import made_up

LARGE = 100_000
BUNDLES = {
    "casting": "resnet50",
    "neu-surface": "resnet50",
    "magnetic-tile": "unet",
    "severstal-strip": "unet",
}


@pytest.fixture
def plant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEFECTVISION_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    settings.cache_clear()
    return tmp_path


def castings(folder: Path) -> str:
    """The SHA-256 of the one image of a set."""
    folder.mkdir(parents=True)
    data = casting("def", 101)
    (folder / "a.png").write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def keep(
    plant: Path,
    line: str,
    images: int,
    seen: int = 0,
    times: int = 1,
    root: Path | None = None,
    inspection: int = -1,
    about: dict[str, object] | None = None,
    **how: object,
) -> int:
    """An evaluation of made-up images that is done, `seen` of which the bundle learned from, each
    of them there `times`. root: where their files lie; inspection: the number of all; about: what
    else is known of it."""
    if not (plant / "weights" / line).is_dir():
        write_bundle(plant / "weights", line, BUNDLES[line])
    loaded = load_bundle(plant / "weights", line)
    masks = bool(loaded.bundle.mask_classes)
    policy = loaded.bundle.policy
    kept = made_up(
        LINES[line],
        images,
        images // 4,
        outlines=masks,
        policy=policy,
        version=loaded.version,
        **how,
    )
    kept.images.loc[: seen - 1, "seen"] = "near-copy"
    if root is not None:
        kept.images["path"], kept.images["digest"] = "a.png", castings(root)
        kept = replace(kept, about=kept.about.model_copy(update={"root": str(root)}))
    kept.images["inspection"] = inspection
    kept = replace(kept, about=kept.about.model_copy(update=about or {}))
    kept = kept.take(np.tile(np.arange(images), times)) if times > 1 else kept
    store = open_store(plant / "store")
    source = evaluations.LabelledSet(path="/plant/castings")
    with store.session() as session:
        number = evaluations.add_evaluation(session, loaded, source, unproven("anna")).id
    evaluations.finish(store, number, kept)
    return number


def page(number: int, part: str = "") -> AppTest:
    app = AppTest.from_file(str(ROOT / "pages" / "evaluate.py"), default_timeout=60)
    app.query_params["evaluation"] = str(number)
    if part:
        app.session_state[PART] = part
    app.run()
    assert not app.exception
    return app


def said(app: AppTest) -> str:
    kinds = (app.caption, app.markdown, app.warning, app.error, app.info, app.success)
    return "\n".join(str(element.value) for kind in kinds for element in kind)


@pytest.mark.parametrize("line", BUNDLES)
@pytest.mark.parametrize(
    "part", ["Operating point", "Curves", "Classes and defects", "Photo groups", "Comparison"]
)
def test_each_part_is_drawn_for_each_kind_of_line(line: str, part: str, plant: Path) -> None:
    number = keep(plant, line, 120)
    if part == "Comparison":
        keep(plant, line, 120, seed=1, skill=1.0)
    app = page(number, part)
    names = [metric.label for metric in app.metric]
    if line == "neu-surface":  # it cannot accept: there is nothing to choose
        assert names[0] == "Right label"
        assert not any("cost" in field.label for field in app.number_input)
    else:
        assert names[:4] == ["Escapes", "Overkill", "To review", "Cost per 1000 parts"]


def test_what_the_bundle_learned_from_is_left_out_and_said(plant: Path) -> None:
    app = page(keep(plant, "casting", 120, seen=30))
    words = said(app)
    assert "90 images of" in words
    assert "learned from 30 images of this set (30 near\\-copies)" in words.replace(
        "near-", "near\\-"
    )
    app.toggle[0].set_value(True).run()
    assert "120 images of" in said(app)
    assert "better than the bundle is" in said(app)
    words = said(page(keep(plant, "casting", 40, seen=40)))
    assert "measure its memory, not its skill" in words


def test_images_that_were_listed_are_no_others_where_more_of_them_count(plant: Path) -> None:
    """Which two bundles differ on, or whose defect was missed, is listed by row."""
    number = keep(plant, "casting", 120, seen=30)
    app = AppTest.from_file(str(ROOT / "pages" / "evaluate.py"), default_timeout=60)
    app.query_params["evaluation"] = str(number)
    app.session_state[PART] = MISTAKES
    listed = View("rows", rows=(0, 1), words="On which two differ")
    app.session_state["evaluation-view"] = (number, listed)
    app.run()
    assert "On which two differ" in said(app)
    assert app.dataframe[0].value["name"][0] == "000030.png", "that of row 0 without those seen"
    app.toggle[0].set_value(True).run()
    assert not app.exception
    assert "On which two differ" not in said(app) and "Worst mistakes first" in said(app)


def test_labels_that_count_as_deviations_are_named(plant: Path) -> None:
    about = {"unknown": "line 'casting' knows no label '0' (3): such images count as deviations"}
    words = said(page(keep(plant, "casting", 40, about=about))).replace("\\", "")
    assert "Line 'casting' knows no label '0' (3)" in words
    assert "such images count as deviations. Where one means a good part" in words
    assert "count as deviations" not in said(page(keep(plant, "casting", 40)))


def test_too_few_groups_promise_nothing(plant: Path) -> None:
    app = page(keep(plant, "casting", 80))
    how = next(c for c in app.get("button_group") if "By a promise" in c.options)
    how.set_value(["By a promise"] if isinstance(how.value, list) else "By a promise").run()
    assert "Not enough groups to promise this" in said(app).replace("\\", "")


def test_another_bundle_is_no_reason_to_move_a_policy(plant: Path) -> None:
    number = keep(plant, "casting", 80)
    folder = plant / "weights" / "casting" / "resnet50" / "bundle.json"
    folder.write_text(folder.read_text().replace('"fixed-filters"', '"other-filters"'))
    app = page(number)
    assert "was replaced since" in said(app)
    assert not [b for b in app.button if b.label == "Take these thresholds"]


def test_the_scores_of_a_replaced_bundle_are_compared_under_their_own_policy(plant: Path) -> None:
    """Under the policy of the model that is there now they would mean something else than on the
    page of their evaluation."""
    number = keep(plant, "casting", 80)
    before = load_bundle(plant / "weights", "casting").bundle.policy
    shutil.rmtree(plant / "weights" / "casting" / "resnet50")
    other = Policy(accept_below=0.01, reject_above=0.99)
    write_bundle(plant / "weights", "casting", "resnet50", policy=other)
    store = open_store(plant / "store")
    row, kept = opening.row_of(store, number), evaluations.open_evaluation(store, number)
    assert row is not None
    loaded = load_bundle(plant / "weights", "casting")
    assert _policy_of(store, Opened(row, kept, kept, loaded)) == before != other
    row.bundle_version = loaded.version
    assert _policy_of(store, Opened(row, kept, kept, loaded)) == other


def test_an_evaluation_that_is_gone_says_so(plant: Path) -> None:
    number = keep(plant, "casting", 40)
    assert "it was deleted" in said(page(number + 1)).replace("\\", "")


def test_the_open_image_is_shown_with_its_map_or_why_it_is_not(
    plant: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = plant / "sets" / "castings"
    number = keep(plant, "casting", 60, skill=0.5, root=folder)
    app = page(number, MISTAKES)
    assert "is not below a folder that may be read here" in said(app).replace("\\", "")
    assert not app.get("bidi_component")
    monkeypatch.setenv("DEFECTVISION_SOURCE_ROOTS", json.dumps([str(plant / "sets")]))
    settings.cache_clear()
    app = page(number, MISTAKES)
    assert len(app.get("bidi_component")) == 1
    assert "Worst mistakes first" in said(app) and "rejected from" in said(app)
    (folder / "a.png").write_bytes(casting("ok", 3))
    app = page(number, MISTAKES)
    assert "is another file than the one that was evaluated" in said(app)
    (folder / "a.png").unlink()
    (folder / "a.png").symlink_to("/etc/passwd")
    assert "is not below a folder" in said(page(number, MISTAKES)).replace("\\", "")
    number = keep(plant, "casting", 60, skill=0.5, inspection=7)
    assert "this inspection was deleted" in said(page(number, MISTAKES)).replace("\\", "")


def test_one_that_is_worked_on_or_came_to_nothing_says_so(plant: Path) -> None:
    write_bundle(plant / "weights", "casting", "resnet50")
    loaded = load_bundle(plant / "weights", "casting")
    store, source = open_store(plant / "store"), evaluations.Reviewed()
    with store.session() as session:
        number = evaluations.add_evaluation(session, loaded, source, unproven("anna")).id
        evaluations.say_alive(session, number, 3, 12)
    app = page(number)
    assert "It goes on when this page is closed" in said(app)
    cancel = next(b for b in app.button if b.label == "Cancel")
    cancel.click().run()
    assert "cancelled by unnamed" in said(app).replace("\\", "")
    assert [b.label for b in app.button if b.label == "Evaluate again"]
    with store.session() as session:
        row = evaluations.get_evaluation(session, number)
        row.state, row.alive, row.message = evaluations.State.RUNNING, None, ""
    assert "has not been heard of for some time" in said(page(number))


def test_views_name_their_images() -> None:
    kept = made_up(LINES["casting"], 400, 40, skill=0.5)
    policy = Policy(accept_below=0.3, reject_above=0.7)
    table = verdict_table(kept, policy)
    view = View("verdict", *ESCAPES)
    assert images_of(kept, policy, view).tolist() == table.images[ESCAPES].tolist() != []
    assert in_words(kept, view) == "Escapes: defective parts, accept"
    group = str(kept.images["group"].iloc[7])
    assert 7 in images_of(kept, policy, View("group", group))
    assert len(images_of(kept, policy, WORST))
    assert images_of(kept, policy, View("rows", rows=(3, 999))).tolist() == [3]
    cell = View("class", "ok", "def", words="")
    shown = images_of(kept, policy, cell)
    assert len(shown) and kept.truth[shown, 0].all()


def test_a_moved_threshold_answers_at_once_on_many_images(plant: Path) -> None:
    number = keep(plant, "casting", 2000, times=LARGE // 2000)
    app = page(number)
    took = []
    for step in range(4):
        field = next(f for f in app.number_input if f.label == "Accept below")
        field.set_value(0.2 + step / 100)
        begun = time.process_time()
        app.run()
        took.append(time.process_time() - begun)
    assert f"{LARGE:,} images of" in said(app)
    assert min(took) < 0.5, took


def test_a_set_of_the_label_page_is_evaluated_by_its_name(
    plant: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEFECTVISION_CACHE", str(plant / "cache"))
    monkeypatch.setattr(evaluation_start, "_run", lambda *_: None)  # no process works on it
    settings.cache_clear()
    write_bundle(plant / "weights", "casting", "resnet50")
    store, ada = open_store(plant / "store"), unproven("ada")
    with store.session() as session:
        classes = LINES["casting"].classes
        labelling.new_set(session, "Pump caps", "casting", classes, "multiclass", ada)
    for number, name in enumerate(("ok", "def"), 1):
        given = labelling.Given(f"{name}.png", casting(name, 101))
        labelling.add_images(store, 1, [given], PIXELS, ada)
        labelling.say(store, number, [name], {}, ada)
    app = AppTest.from_file(str(ROOT / "pages" / "evaluate.py"), default_timeout=60)
    app.session_state["who"] = "ada"
    app.run()
    box = next(box for box in app.selectbox if box.label == "Labelled set")
    box.set_value("labelled: 1").run()
    next(button for button in app.button if button.label == "Evaluate").click().run()
    assert not app.exception and not app.error
    with store.reading() as session:
        (row,) = evaluations.list_evaluations(session)
        source = evaluations.source_of(row)
    assert row.data == "Pump caps"
    catalog = open_set(Path(source.path), PIXELS).catalog
    assert sorted(catalog.table["label"]) == ["def", "ok"]
