"""From a box of good parts to a line that stops what is unlike them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from sqlalchemy import select
from typer.testing import CliRunner

from defectvision.batch.evaluating import evaluate_set
from defectvision.batch.remembering import REMEMBERED, remember_parts
from defectvision.bundle.reader import BundleError, load_bundle, read_line
from defectvision.bundle.schema import LoadedBundle
from defectvision.cli.main import app
from defectvision.data.catalog import CatalogError
from defectvision.data.image_set import open_set
from defectvision.evaluation.seen import fingerprints_of
from defectvision.inference.farness import times_the_limit
from defectvision.inference.good_memory import GoodMemory
from defectvision.inference.good_pictures import GoodPictures
from defectvision.inference.images import decode_image
from defectvision.inference.inspector import Inspector
from defectvision.inference.preprocessing import prepare
from defectvision.inference.runtime import OnnxRuntime, OpenVinoRuntime
from defectvision.limits import PIXELS, Limits
from defectvision.models.trained import load_network
from defectvision.report.evaluation.content import content_of
from defectvision.settings import ROOT
from defectvision.store import reviews
from defectvision.store.batches import images_in
from defectvision.store.errors import StoreError
from defectvision.store.evaluations import LabelledSet
from defectvision.store.results import Results
from defectvision.store.tables import AuditRow, ImageState
from defectvision.training.quantize import quantize_bundle
from tests.stand_ins.missing import run
from tests.stand_ins.plates import ANNA, PARTS, SIDE, plate, reviewed, train, write
from tests.stand_ins.stores import new_store


@pytest.fixture(scope="module")
def inspector(trained) -> Inspector:
    return Inspector(load_bundle(trained / "weights", "plates"), PIXELS)


pytestmark = pytest.mark.slow

NAME = "memory_efficientnet_lite0"


def seen(inspector: Inspector, **how):
    data = cv2.imencode(".png", plate(**how))[1].tobytes()
    return inspector.inspect(data, "part.png")


def test_a_folder_of_good_parts_alone_becomes_a_line(trained, inspector, good):
    line, bundle = inspector.line, inspector.loaded.bundle
    assert [(c.name, c.kind) for c in line.classes] == [("ok", "ok"), ("deviation", "defect")]
    assert bundle.mask_classes == ("deviation",)
    said = json.loads((trained / "run" / "result.json").read_text())
    assert said["images"] == said["parts"] == PARTS
    assert (
        "From 24 good parts, at most 12 % of good parts stopped can be promised" in said["promise"]
    )
    assert said["promise"] in (inspector.loaded.folder / "README.md").read_text()
    assert "is not known: no picture of one was at hand" in bundle.caution
    assert json.loads((trained / "run" / "progress.json").read_text())["step"]
    pictures = GoodPictures.of(inspector.loaded.folder)
    assert (pictures.number, pictures.names, pictures.jpegs) == (PARTS, {}, {})
    with pytest.raises(BundleError, match="remembers good parts, and int8 shortens"):
        quantize_bundle(
            trained / "weights", "plates", bundle.name, open_set(good, PIXELS, unsorted_good=True)
        )


def test_an_evaluation_keeps_which_labels_it_took_for_deviations(inspector, tmp_path):
    for name, scratched in (("ok", False), ("7", True)):
        (tmp_path / "set" / name).mkdir(parents=True)
        for seed in range(2):
            picture = plate(600 + seed, scratched=scratched)
            cv2.imwrite(str(tmp_path / "set" / name / f"{seed}.png"), picture)
    notes: list[str] = []
    asked = LabelledSet(path=str(tmp_path / "set"))
    kept, _ = evaluate_set(inspector, asked, inspector.policy, tmp_path, note=notes.append)
    assert kept.about.unknown.endswith("knows no label '7' (2): such images count as deviations")
    assert [note for note in notes if "--good" in note and kept.about.unknown in note]
    assert kept.defective.sum() == 2
    assert any(
        kept.about.unknown[1:] in w for w in content_of(kept, inspector.policy, None).warnings
    )


def test_a_scratch_that_nobody_has_seen_is_stopped_and_outlined(inspector):
    policy = inspector.policy
    stopped, accepted, outlined = 0, 0, 0
    for seed in range(500, 510):
        bad, fine = seen(inspector, seed=seed, scratched=True), seen(inspector, seed=seed)
        stopped += bad.verdict(policy) != "accept"
        accepted += fine.verdict(policy) == "accept"
        truth = np.abs(plate(seed, scratched=True).astype(int) - plate(seed)) > 40
        outlined += bool((bad.class_mask("deviation", policy) & truth).any())
        assert bad.defect_score > fine.defect_score
        bundle = inspector.loaded.bundle
        assert times_the_limit(bad, bundle, policy) > 1
        assert (times_the_limit(fine, bundle, policy) < 1) == (fine.verdict(policy) == "accept")
        # Not at the bad one's own score, which is so near to 1 that its odds are lost in rounding.
        at_it = policy.model_copy(update={"accept_below": fine.defect_score, "reject_above": 1.0})
        assert times_the_limit(fine, bundle, at_it) == pytest.approx(1, abs=1e-3)
    assert stopped == 10
    assert outlined == 10
    assert accepted >= 8


@pytest.mark.parametrize("runtime", [OpenVinoRuntime, OnnxRuntime])
def test_what_serves_it_answers_as_torch_does(inspector, runtime):
    loaded = inspector.loaded
    network = load_network(loaded)
    served = Inspector(loaded, PIXELS, runtime(loaded.folder / "model.onnx"))
    for scratched in (False, True):
        data = cv2.imencode(".png", plate(700, scratched))[1].tobytes()
        tensor, _ = prepare(decode_image(data, "a.png"), loaded.bundle.preprocessing)
        with torch.inference_mode():
            wanted = network(torch.from_numpy(tensor)[None])
        found = served.inspect(data, "a.png")
        assert np.abs(wanted.logits[0].numpy() - found.logits).max() < 0.05
        total = found.evidence.mean((1, 2)) + found.evidence_bias
        assert np.abs(total - found.logits).max() < 1e-3


def test_defects_at_hand_measure_and_are_not_learned_from(good, tmp_path):
    """In MVTec's layout, with masks; the escapes stand beside the promise, and the nearest good
    parts in the bundle, as this recipe lets it carry pictures."""
    root = tmp_path / "set"
    shutil.copytree(good, root / "train" / "good")
    write(root / "test" / "good", 6, first=800)
    files = write(root / "test" / "scratch", 6, first=900, scratched=True)
    for i, file in enumerate(files):
        truth = np.abs(plate(900 + i, scratched=True).astype(int) - plate(900 + i)) > 40
        name = root / "ground_truth" / "scratch" / f"{file.stem}_mask.png"
        name.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(name), truth.astype(np.uint8) * 255)
    recipe = tmp_path / "recipe.yaml"
    text = (ROOT / "recipes" / "good_parts.yaml").read_text()
    recipe.write_text(text.replace("stopped: 0.05", "stopped: 0.05, keep_pictures: true"))
    (tmp_path / "run").mkdir()
    told = {"part 0.png": "lot.zip/IMG 17.jpg"}  # as whoever starts it knows the file
    (tmp_path / "run" / "names.json").write_text(json.dumps(told))
    result = train(root, tmp_path, "--recipe", str(recipe))
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout.splitlines()[-1])
    assert found["images"] == PARTS + 12
    assert found["metrics"]["auc"]["value"] > 0.95
    assert found["metrics"]["escapes"]["value"] == 0
    assert found["metrics"]["iou/deviation"]["value"] > 0.05
    loaded = load_bundle(tmp_path / "weights", "plates")
    assert "Of the defective pictures at hand it accepted 0%" in loaded.bundle.caution
    seen_files = len((loaded.folder / "trained_on.txt").read_text().split())
    assert seen_files == PARTS
    again = CliRunner().invoke(
        app,
        [
            *("evaluate", "--line", "plates", "--data", str(root), "--json"),
            *("--weights", str(tmp_path / "weights")),
        ],
    )
    assert again.exit_code == 0, again.output
    assert "IMG 17.jpg" in GoodPictures.of(loaded.folder).names.values()
    check_nearest(loaded, root / "train" / "good", files)


def check_nearest(loaded: LoadedBundle, learned: Path, scratched: list[Path]) -> None:
    """The farthest place of a scratched part lies on its scratch, and a remembered place is the
    nearest one to itself, on the picture and at the spot that the bundle names."""
    memory, pictures = GoodMemory(loaded), GoodPictures.of(loaded.folder)
    assert pictures is not None
    assert pictures.number == PARTS
    assert len(pictures.picture) == len(memory.vectors)
    for i, file in enumerate(scratched):
        at = memory.farthest(memory.look(file.read_bytes(), file.name, PIXELS)).at * SIDE
        truth = np.abs(plate(900 + i, scratched=True).astype(int) - plate(900 + i)) > 40
        y, x = np.nonzero(truth)
        assert np.hypot(x - at[0], y - at[1]).min() < 16
    for vector in (0, 20, 40):
        number = int(pictures.picture[vector])
        name = pictures.names[number]
        file = learned / ("part 0.png" if name == "IMG 17.jpg" else name)
        looked = memory.look(file.read_bytes(), file.name, PIXELS)
        _, which = memory.nearest(looked.places[0])
        column, row = (pictures.at[vector] * which.shape[::-1]).astype(int)
        assert which[row, column] == vector
        small = cv2.imdecode(np.frombuffer(pictures.jpegs[number], np.uint8), cv2.IMREAD_GRAYSCALE)
        whole = cv2.resize(looked.pixels, small.shape[::-1], interpolation=cv2.INTER_AREA)
        assert np.abs(small.astype(int) - whole).mean() < 4


def test_a_defect_among_the_good_ones_is_named_and_not_learned_from(good, tmp_path):
    shutil.copytree(good, tmp_path / "parts")
    write(tmp_path / "parts", 2, first=950, kind="other")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "names.json").write_text(json.dumps({"part 950.png": "left/a.jpg"}))
    result = train(tmp_path / "parts", tmp_path)
    assert result.exit_code == 0, result.output
    said = json.loads((tmp_path / "run" / "result.json").read_text())
    assert {one["path"] for one in said["suspects"]} == {"part 950.png", "part 951.png"}
    assert "lie far from the rest" in result.stderr
    card = (tmp_path / "weights" / "plates" / NAME / "README.md").read_text()
    assert "left/a.jpg, part 951.png" in card and "left/a.jpg" in result.stderr
    line = Inspector(load_bundle(tmp_path / "weights", "plates"), PIXELS)
    assert seen(line, seed=970, kind="other").verdict(line.policy) != "accept"


@pytest.mark.parametrize(
    ("number", "first", "words"), [(1, [0], "1 image of good parts"), (10, [0] * 10, "10 images")]
)
def test_too_few_parts_and_copies_of_one_are_told(tmp_path, number, first, words):
    folder = tmp_path / "few"
    folder.mkdir()
    for i, seed in enumerate(first):
        cv2.imwrite(str(folder / f"{i}.png"), plate(seed))
    result = train(folder, tmp_path)
    assert result.exit_code == 2
    said = " ".join(result.stderr.split())
    assert f"holds {words}" in said or words in said
    assert "1 part can be told apart" in said
    assert "at least 5 different good parts" in said
    assert not (tmp_path / "weights" / "plates" / "line.json").exists()


def test_images_of_several_sizes_and_a_damaged_one(good, tmp_path):
    shutil.copytree(good, tmp_path / "parts")
    wide = cv2.resize(plate(980), (300, 100))
    cv2.imwrite(str(tmp_path / "parts" / "wide.png"), wide)
    (tmp_path / "parts" / "broken.png").write_bytes(b"no picture")
    result = train(tmp_path / "parts", tmp_path)
    assert result.exit_code == 1
    said = json.loads((tmp_path / "run" / "result.json").read_text())
    assert any("broken.png" in words for words in said["left_out"])
    loaded = load_bundle(tmp_path / "weights", "plates")
    assert loaded.bundle.preprocessing.fit == "letterbox"


def test_pictures_that_are_shrunk_much_are_told_of(tmp_path):
    folder = tmp_path / "large"
    folder.mkdir()
    for number in range(6):
        large = cv2.resize(plate(number), (1280, 640), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(str(folder / f"{number}.png"), large)
    assert train(folder, tmp_path).exit_code == 0
    loaded = load_bundle(tmp_path / "weights", "plates")
    how = loaded.bundle.preprocessing
    assert (how.height, how.width, how.fit) == (160, 320, "stretch")
    assert "shrunk 4.0 times" in loaded.bundle.caution


def test_a_line_of_other_classes_is_not_overwritten(good, tmp_path):
    shutil.copytree(Path("weights/casting"), tmp_path / "weights" / "casting")
    result = train(good, tmp_path, line="casting")
    assert result.exit_code == 2
    assert "not a line from good parts. Choose" in " ".join(result.stderr.split())
    assert "--bundle" not in result.stderr


def test_who_names_a_bundle_that_is_there_is_told_that_it_is_replaced(good, tmp_path):
    shutil.copytree(Path("weights/casting"), tmp_path / "weights" / "casting")
    result = train(good, tmp_path, "--bundle", "resnet50", line="casting")
    said = f"{tmp_path / 'weights' / 'casting' / 'resnet50'}: holds a bundle, which"
    assert said in " ".join(result.stderr.split())


def test_unsorted_images_are_good_only_where_good_parts_are_meant(good):
    with pytest.raises(CatalogError, match="no class folders"):
        open_set(good, PIXELS)
    assert open_set(good, PIXELS, unsorted_good=True).catalog.good_count == PARTS


def test_good_parts_that_were_stopped_join_by_a_version_beside(trained, tmp_path):
    """Parts with a stamp that no part had before: two join, and others with it come nearer,
    while scratched ones do not. With one that is scratched joining, the like of it is warned of."""
    weights = tmp_path / "weights"
    shutil.copytree(trained / "weights", weights)
    lot, name = tmp_path / "lot", NAME
    for i, kind in enumerate(["stamped"] * 4 + ["plate"] * 2):
        write(lot, 1, first=600 + i, kind=kind)
    write(lot, 3, first=700, scratched=True)
    worn = plate(700, scratched=True).astype(int) + np.random.default_rng(0).integers(-4, 5)
    cv2.imwrite(str(lot / "worn.png"), worn.clip(0, 255).astype(np.uint8))
    good = [f"part {600 + i}.png" for i in range(6)]
    said = dict.fromkeys([*good, "worn.png"], "accept")
    said |= {f"part {700 + i}.png": "reject" for i in range(3)}
    store = new_store(tmp_path)
    batch = reviewed(store, weights, lot, said)
    base = load_bundle(weights, "plates")
    with store.reading() as session:
        selection = Results.open(store, batch).selection(base.bundle.policy)
        stopped = {row.name: row.id for row in reviews.stopped_good(session, selection)}
    assert {*good[:4], "worn.png"} <= set(stopped)

    two = [stopped[one] for one in good[:2]]
    found = remember_parts(store, base, two, ANNA, Limits())
    made = found.bundle
    assert (made.bundle.name, found.base) == (f"{name}-plus-1", name)
    assert read_line(weights / "plates").default_bundle == name
    by_name = {part.name: part for part in found.parts}
    assert {one for one, part in by_name.items() if part.joined} == set(good[:2])
    assert all(part.passes for part in found.joined)
    assert all(by_name[one].fell > 2 for one in good[2:4])
    scratched = [by_name[f"part {700 + i}.png"] for i in range(3)]
    assert all(part.now != "accept" and part.fell < 1 for part in scratched)
    assert found.warnings == []
    figures = made.bundle.metrics[0]
    assert (figures.images, figures.values["escapes"].value) == (8, 0)
    assert "2 good parts joined from review" in made.bundle.caution
    assert "no picture of one" in base.bundle.caution
    assert "no picture of one" not in made.bundle.caution
    seen = (made.folder / "trained_on.txt").read_text().split()
    assert len(seen) == PARTS + 2
    assert GoodPictures.of(made.folder).number == PARTS + 2
    assert len(fingerprints_of(made.folder)) == len(fingerprints_of(base.folder)) + 2
    with store.reading() as session:
        (told,) = session.scalars(select(AuditRow).where(AuditRow.what == REMEMBERED))
    assert (told.who, told.details["bundle"]) == ("anna", made.bundle.name)

    network = load_network(made)
    assert len(network.memory) == len(load_network(base).memory) + found.places
    pictures = [(lot / one).read_bytes() for one in (*good[1:3], "part 701.png")]
    for runtime in (OpenVinoRuntime, OnnxRuntime):
        served = Inspector(made, PIXELS, runtime(made.folder / "model.onnx"))
        for data in pictures:
            answer = served.inspect(data, "a.png")
            tensor, _ = prepare(decode_image(data, "a.png"), made.bundle.preprocessing)
            with torch.inference_mode():
                wanted = network(torch.from_numpy(tensor)[None]).logits[0].numpy()
            assert np.abs(wanted - answer.logits).max() < 0.05
    with pytest.raises(BundleError, match="remembers places like all of 2 photographs already"):
        remember_parts(store, made, two, ANNA, Limits())

    command = ["bundle", "remember", "--line", "plates", "--batch", str(batch), "--json"]
    command += ["--part", "worn.png", "--bundle", made.bundle.name, "--weights", str(weights)]
    code = f"""
import os
os.environ["DEFECTVISION_STORE"] = {str(store.folder)!r}
from defectvision.cli.main import app
app({command!r})
"""
    result = run(code, "torch", "torchvision", "timm", "openvino")
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert told["bundle"] == f"{name}-plus-2"
    assert "part 700.png" in told["warnings"][0]
    grown = load_bundle(weights, "plates", told["bundle"]).bundle
    assert [len(one["parts"]) for one in grown.provenance["grown"]] == [2, 1]
    assert "3 good parts joined from review" in grown.caution
    with store.reading() as session:
        rows = images_in(session, batch, ImageState.DONE)
    rejected = [row.id for row in rows if row.decision == "reject"]
    with pytest.raises(StoreError, match="nobody has decided that it is a good part"):
        remember_parts(store, base, rejected, ANNA, Limits())
