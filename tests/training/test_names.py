"""Defects by name beside the memory of good parts: what either eye sees, and both together."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from defectvision.batch.evaluating import evaluate_set
from defectvision.batch.remembering import remember_parts
from defectvision.bundle.line import DefectClass
from defectvision.bundle.reader import load_bundle, read_line
from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import open_set
from defectvision.evaluation.comparison import compare
from defectvision.evaluation.seen import digests_of
from defectvision.inference.farness import times_the_limit
from defectvision.inference.good_memory import GoodMemory
from defectvision.inference.inspector import Inspector
from defectvision.inference.preprocessing import prepare
from defectvision.inference.runtime import OnnxRuntime, OpenVinoRuntime
from defectvision.limits import PIXELS, Limits
from defectvision.models.trained import load_network
from defectvision.settings import ROOT
from defectvision.store import labelling, reviews
from defectvision.store.bundles import switch_default
from defectvision.store.database import Store
from defectvision.store.evaluations import LabelledSet
from defectvision.store.results import Results
from defectvision.store.tables import LabelledImageRow
from defectvision.training.names import GOOD, Seen, compared, learn_names
from defectvision.training.new_line import named_parts_line_for
from defectvision.web.label.joining import add_good, add_reviewed, good_photographs
from defectvision.web.label.teaching import names_recipe
from defectvision.web.new_line import training
from defectvision.web.new_line.runs import End, Ending, Order, Run, new_run
from defectvision.web.new_line.training import TrainingError, start_teaching
from tests.stand_ins.plates import ANNA, PARTS, SIDE, plate, reviewed, train, write
from tests.stand_ins.stores import new_store

AXES = np.eye(12)


def parts(kind: int, number: int, distance: float, seed: int) -> Seen:
    """Parts of which the memory sees `distance`, and which lie along the axis of their
    kind, those of good ones about 0."""
    rng = np.random.default_rng(seed)
    centre = 0 if kind == GOOD else 3 * AXES[kind]
    return Seen(
        (rng.normal(0, 0.5, (number, 12)) + centre).astype(np.float32),
        rng.normal(distance, 1, number),
        np.full(number, kind),
        np.array([f"{kind}-{seed}-{n}" for n in range(number)]),
        np.arange(number) % 2,
        3,
    )


def together(*some: Seen) -> Seen:
    columns = ("shown", "distance", "kind", "parts", "folds")
    return Seen(*(np.concatenate([getattr(one, name) for one in some]) for name in columns), 3)


def test_the_head_names_what_is_known_and_the_memory_stops_what_is_not() -> None:
    """Of the first kind the memory sees nothing."""
    known = ((1, -4), (2, 3), (3, 3))
    seen = together(parts(GOOD, 60, -4, 0), *(parts(kind, 10, far, kind) for kind, far in known))
    names = learn_names(seen, seen.kind == GOOD)

    def said(asked: Seen) -> tuple[np.ndarray, np.ndarray]:
        odds = names.joint.log_odds(asked.distance, names.whole.log_odds(asked.shown))
        return odds.argmax(1), odds.max(1)

    for kind, far in known:
        named, surely = said(parts(kind, 20, far, 9))
        assert (named == kind).mean() > 0.9 and (surely > 0).mean() > 0.9
    unknown, surely = said(parts(7, 20, 3, 11))
    assert (unknown == 0).all() and (surely > 0).mean() > 0.9
    _, surely = said(parts(GOOD, 20, -4, 12))
    assert (surely < 0).mean() > 0.9


def test_what_the_head_knows_by_heart_alone_counts_for_nothing() -> None:
    """Features of chance: a head fits those that it learned from, and no others."""
    rng = np.random.default_rng(3)
    seen = together(parts(GOOD, 60, -4, 0), *(parts(kind, 8, -2, kind) for kind in (1, 2, 3)))
    noise = rng.normal(size=(len(seen.kind), 100)).astype(np.float32)
    seen = replace(seen, shown=noise)
    names = learn_names(seen, seen.kind == GOOD)
    found = compared(seen, names, 0.05)
    by_heart = names.whole.log_odds(noise).max(1)
    assert by_heart[seen.kind > GOOD].min() > by_heart[seen.kind == GOOD].max()
    assert found["auc/head"]["value"] < 0.75
    assert found["auc/memory"]["value"] > 0.85
    assert abs(found["auc/more than memory"]["value"]) < 0.05
    assert found["escapes/both"]["value"] < found["escapes/head"]["value"]
    learned = replace(seen, shown=np.eye(seen.kind.max() + 1, 100, dtype=np.float32)[seen.kind])
    found = compared(learned, learn_names(learned, seen.kind == GOOD), 0.05)
    none = found["escapes/head"]  # of 24 parts: no reason to promise that none ever will
    assert none["value"] == 0 and 0.1 < none["high"] < 0.2


KNOWN = {"scratch": {"scratched": True}, "stamp": {"kind": "stamped"}}
FIRST, NAMED = "memory_efficientnet_lite0", "named"
LOT = {"ok": 6, "scratch": 10, "stamp": 10, "frame": 3}  # so few frames are no name yet
HOW = {**KNOWN, "frame": {"kind": "other"}, "ok": {}}


def png(kind: str, seed: int) -> bytes:
    return cv2.imencode(".png", plate(seed, **HOW[kind]))[1].tobytes()


@dataclass(frozen=True)
class Plant:
    """The line `plates` as it was learned from good parts, and a bundle of it that was learned from
    a labelled set of reviewed images. held: those that were held back."""

    weights: Path
    store: Store
    run: Run
    held: list[LabelledImageRow]
    first_version: str

    def said(self, kind: str) -> list[str]:
        """What the default bundle calls parts that nobody has seen before."""
        served = Inspector(load_bundle(self.weights, "plates"), PIXELS)
        answers = [served.inspect(png(kind, 500 + i), f"{kind}.png") for i in range(3)]
        return [one.labels(served.policy)[0] for one in answers]


def as_learned(good: Path, trained: Path, runs: Path) -> None:
    """The run that the page keeps of the line."""
    run = new_run(runs)
    shutil.copytree(good, run.images, dirs_exist_ok=True)
    shutil.copytree(trained / "run", run.work)
    asked = {"title": "Plates", "line": "plates", "photographs": PARTS, "who": "anna"}
    run.keep(Order(**asked, started=datetime.now(UTC)))
    run.keep(End(ending=Ending.DONE))


def a_lot(folder: Path) -> dict[str, str]:
    """Parts of each kind, and what people decide on them: nobody names a defect."""
    folder.mkdir()
    said = {}
    for number, (kind, count) in enumerate(LOT.items(), 6):
        for i in range(count):
            name = f"{kind} {i}.png"
            (folder / name).write_bytes(png(kind, 100 * number + i))
            said[name] = "accept" if kind == "ok" else "reject"
    return said


def a_set(store: Store, runs: Path, first: Path) -> list[LabelledImageRow]:
    """Reviewed images and the photographs of good parts, named, and some of them held back."""
    classes = read_line(first.parent).classes
    with store.session() as session:
        row = labelling.new_set(session, "Plates", "plates", classes, "multiclass", ANNA)
    assert len(add_reviewed(store, row, 1, PIXELS, ANNA).images) == sum(LOT.values())
    found = good_photographs(runs, "plates")
    assert found is not None
    assert len(add_good(store, row, found, PIXELS, ANNA, lambda *_: None).images) == PARTS
    with store.session() as session:
        assert labelling.count_labels(session, 1) == {"ok": PARTS + 6, "deviation": 23}
        for name in (*KNOWN, "frame"):
            title, colour = name.title(), classes[1].colour
            defect = DefectClass(name=name, title=title, kind="defect", colour=colour)
            labelling.add_class(session, 1, defect, ANNA)
        rows = labelling.images_of(session, 1)
    for image in rows:
        kind = image.name.split()[0]
        if kind in ("scratch", "stamp", "frame"):
            labelling.say(store, image.id, [kind], {}, ANNA)
    with store.session() as session:
        labelling.hold_back(session, 1, ANNA, learned=digests_of(first))
        return labelling.images_of(session, 1, held=True)


@pytest.fixture(scope="module")
def plant(good, trained, tmp_path_factory) -> Plant:
    root = tmp_path_factory.mktemp("plant")
    weights, runs = root / "weights", root / "runs"
    shutil.copytree(trained / "weights", weights)
    store, first = new_store(root), load_bundle(weights, "plates")
    reviewed(store, weights, root / "lot", a_lot(root / "lot"))
    as_learned(good, trained, runs)
    held, run = a_set(store, runs, first.folder), new_run(runs)
    recipe = names_recipe(1, False)
    usual, quick = "vectors: 1000, longest_side: 320", "vectors: 300, folds: 3, longest_side: 192"
    assert usual in recipe

    def not_here(*_: object) -> None:
        raise TrainingError("not in this test")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(TrainingError, match="not in this"):
        patch.setattr(training, "_started", not_here)
        start_teaching(store, run, 1, NAMED, recipe.replace(usual, quick), weights, ANNA)
    options = ("--recipe", str(run.recipe), "--bundle", NAMED, "--run", str(run.work))
    result = train(run.data, root, *options)
    assert result.exit_code == 0, result.output
    (found,) = (line for line in result.stdout.splitlines() if line.startswith("{"))
    (root / "found.json").write_text(found)
    return Plant(weights, store, run, held, first.version)


@pytest.mark.slow
def test_what_nobody_named_is_learned_as_a_deviation_and_never_as_good(plant) -> None:
    index = csv.DictReader((plant.run.learned / "index.csv").open(encoding="utf-8-sig"))
    wanted = {"part": "ok", "ok": "ok", "scratch": "scratch", "stamp": "stamp"}
    labels = {(Path(one["path"]).name.split()[0], one["label"]) for one in index}
    assert labels == {*wanted.items(), ("frame", "deviation")}
    kinds = [image.name.split()[0] for image in plant.held]
    # Of the good ones none that the line knows by heart.
    assert sorted(kinds) == ["frame", *["ok"] * 3, *["scratch"] * 2, *["stamp"] * 2]


@pytest.mark.slow
def test_a_line_names_what_it_knows_and_stops_what_it_has_never_seen(plant) -> None:
    loaded = load_bundle(plant.weights, "plates", NAMED)
    line, inspector = loaded.line, Inspector(loaded, PIXELS)
    assert line.class_names == ("ok", "deviation", "scratch", "stamp")
    assert loaded.bundle.mask_classes == ("deviation",) and line.unmasked(("deviation",)) == []
    policy = inspector.policy
    said = {}
    for name in HOW:
        found = [inspector.inspect(png(name, seed), f"{name}.png") for seed in range(500, 508)]
        said[name] = [one.labels(policy)[0] for one in found]
        accepted = [one.verdict(policy) == "accept" for one in found]
        assert sum(accepted) >= 6 if name == "ok" else not any(accepted), name
    for name in KNOWN:
        assert said[name].count(name) >= 7
    assert said["frame"].count("deviation") >= 7
    far = times_the_limit(found[0], loaded.bundle, policy)
    assert far is not None and 0 < far < 1.5


@pytest.mark.slow
def test_it_is_compared_put_in_force_and_taken_back_like_any_candidate(plant, tmp_path) -> None:
    line = read_line(plant.weights / "plates")
    assert line.class_names == ("ok", "deviation", "scratch", "stamp")
    assert len({one.colour for one in line.classes}) == 4 and line.default_bundle == FIRST
    first = load_bundle(plant.weights, "plates")
    assert (first.version, first.line.class_names) == (plant.first_version, ("ok", "deviation"))
    source, kept = LabelledSet(path=str(plant.run.held)), []
    for bundle in (FIRST, NAMED):
        served = Inspector(load_bundle(plant.weights, "plates", bundle), PIXELS)
        kept.append(evaluate_set(served, source, served.policy, tmp_path)[0])
    assert [len(one) for one in kept] == [len(plant.held)] * 2
    found = compare(kept[0], kept[1], (first.bundle.policy, served.policy))
    assert found.first.line.class_names == found.second.line.class_names == ("ok", "deviation")
    shown = {one.metric: (one.first, one.second) for one in found.differences}
    assert shown["escapes"] == (0, 0) and min(shown["accuracy"]) > 0.8

    switch_default(plant.store, plant.weights, "plates", NAMED, ANNA, "it names", FIRST)
    assert set(plant.said("scratch")) == {"scratch"}
    switch_default(plant.store, plant.weights, "plates", FIRST, ANNA, "back", NAMED)
    assert set(plant.said("scratch")) == {"deviation"}


@pytest.mark.slow
def test_a_good_part_that_was_stopped_joins_and_names_stay(plant, tmp_path) -> None:
    """Good parts with a third hole, which no part had before."""
    weights, lot, holes = tmp_path / "weights", tmp_path / "lot", []
    shutil.copytree(plant.weights, weights)
    about = read_line(weights / "plates").model_copy(update={"default_bundle": NAMED})
    (weights / "plates" / "line.json").write_text(about.model_dump_json())
    lot.mkdir()
    for i in range(2):
        drilled = plate(900 + i)
        cv2.circle(drilled, (64, 24), 9, 40, -1, cv2.LINE_AA)
        holes.append(cv2.imencode(".png", drilled)[1].tobytes())
        (lot / f"hole {i}.png").write_bytes(holes[-1])
    (lot / "scratch.png").write_bytes(png("scratch", 950))
    store, said = new_store(tmp_path), {"hole 0.png": "accept", "hole 1.png": "accept"}
    batch = reviewed(store, weights, lot, said | {"scratch.png": "reject"})
    base = load_bundle(weights, "plates")
    with store.reading() as session:
        selection = Results.open(store, batch).selection(base.bundle.policy)
        stopped = [row.id for row in reviews.stopped_good(session, selection)]
    assert len(stopped) == 2
    found = remember_parts(store, base, stopped[:1], ANNA, Limits())
    assert [one.passes for one in found.joined] == [True] and found.warnings == []
    grown = Inspector(found.bundle, PIXELS)
    assert (grown.loaded.bundle.name, grown.line) == (f"{NAMED}-plus-1", base.line)
    before = Inspector(base, PIXELS).inspect(holes[1], "a.png").logits
    after = grown.inspect(holes[1], "a.png").logits
    assert (after[1:] - after[0] < before[1:] - before[0] - 1).all()
    for kind in KNOWN:
        answer = grown.inspect(png(kind, 500), "a.png")
        assert answer.labels(grown.policy) == (kind,)
    network = load_network(found.bundle)
    tensor, _ = prepare(plate(500, scratched=True), found.bundle.bundle.preprocessing)
    with torch.inference_mode():
        wanted = network(torch.from_numpy(tensor)[None]).logits[0].numpy()
    assert np.abs(wanted - grown.inspect(png("scratch", 500), "a.png").logits).max() < 0.05


@pytest.mark.slow
def test_what_is_told_of_it_comes_from_parts_it_has_not_learned_from(plant) -> None:
    loaded = load_bundle(plant.weights, "plates", NAMED)
    found = json.loads((plant.weights.parent / "found.json").read_text())
    assert found["images"] == PARTS + 3 + 2 * 8 + 2
    assert found["metrics"]["accuracy"]["value"] > 0.8
    told = loaded.bundle.provenance["names"]
    assert {"auc/both", "auc/memory", "auc/head", "unknown/both"} <= set(told)
    assert told["unknown/both"]["value"] < told["unknown/head"]["value"]
    assert "Learned from good parts and defects by name" in loaded.bundle.caution
    assert "of a kind that was left out of learning" in loaded.bundle.caution
    said = json.loads((plant.run.work / "result.json").read_text())
    assert said["images"] == said["parts"] == found["images"]
    seen = (loaded.folder / "trained_on.txt").read_text().split()
    assert len(seen) == found["images"]
    memory, marked = GoodMemory(loaded), plate(500, scratched=True)
    looked = memory.look(cv2.imencode(".png", marked)[1].tobytes(), "a.png", PIXELS)
    y, x = np.nonzero(np.abs(marked.astype(int) - plate(500)) > 40)
    at = memory.farthest(looked).at * SIDE
    assert np.hypot(x - at[0], y - at[1]).min() < 16


@pytest.mark.slow
@pytest.mark.parametrize("runtime", [OpenVinoRuntime, OnnxRuntime])
def test_what_serves_it_answers_as_torch_does(plant, runtime) -> None:
    loaded = load_bundle(plant.weights, "plates", NAMED)
    served = Inspector(loaded, PIXELS, runtime(loaded.folder / "model.onnx"))
    tensor, _ = prepare(plate(700, scratched=True), loaded.bundle.preprocessing)
    data = cv2.imencode(".png", plate(700, scratched=True))[1].tobytes()
    with torch.inference_mode():
        wanted = load_network(loaded)(torch.from_numpy(tensor)[None]).logits[0].numpy()
    found = served.inspect(data, "a.png")
    assert np.abs(wanted - found.logits).max() < 0.05
    total = found.evidence.mean((1, 2)) + found.evidence_bias
    assert np.abs(total - found.logits).max() < 1e-3


def test_a_line_comes_to_name_more_only_where_it_knows_deviations(tmp_path) -> None:
    write(tmp_path / "set" / "good", 2)
    write(tmp_path / "set" / "dent", 2, first=50, kind="other")
    catalog = open_set(tmp_path / "set", PIXELS).catalog
    new = named_parts_line_for(catalog, tmp_path / "new", "first")
    assert new.class_names == ("ok", "dent", "deviation")
    castings = read_line(ROOT / "weights" / "casting")
    for names, known in ((("ok", "deviation"), True), (("ok", "def"), False)):
        classes = [
            one.model_copy(update={"name": name})
            for one, name in zip(castings.classes, names, strict=True)
        ]
        folder = tmp_path / names[1]
        folder.mkdir()
        line = castings.model_copy(update={"name": folder.name, "classes": tuple(classes)})
        (folder / "line.json").write_text(line.model_dump_json())
        if known:
            wide = named_parts_line_for(catalog, folder, "first")
            assert wide.class_names == ("ok", "deviation", "dent")
            assert wide.title_of("ok") == castings.classes[0].title
            continue
        with pytest.raises(
            CatalogError, match=r"'def' has ok, def\. Only a line with a good class"
        ):
            named_parts_line_for(catalog, folder, "first")


@pytest.mark.slow
def test_sets_that_cannot_be_named_are_refused(tmp_path) -> None:
    write(tmp_path / "other" / "good", 6)
    write(tmp_path / "other" / "dent", 3, first=50, kind="other")
    for data, words in (
        ("other", "3 parts show dent among the images to learn from"),
        ("other/good", "no image shows a defect with a name"),
    ):
        result = train(tmp_path / data, tmp_path, "--recipe", "good_parts_named")
        assert result.exit_code == 2
        assert words in " ".join(result.stderr.split())
