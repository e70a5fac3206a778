"""The command line as a user or a machine calls it."""

import csv
import json
import os
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from defectvision.bundle.policy import Policy
from defectvision.bundle.schema import SEEN_FILE
from defectvision.cli.main import app
from defectvision.data.rle.severstal import decode_rle
from defectvision.data.synthetic.samples import draw, write_samples
from defectvision.evaluation.seen import image_digest
from tests.stand_ins.bundles import write_bundle
from tests.stand_ins.strips import encoded, strip_with

runner = CliRunner()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    write_bundle(folder, "casting", "resnet50")
    write_bundle(folder, "neu-surface", "resnet50")
    return folder


@pytest.fixture(scope="module")
def labelled(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    write_samples("casting", folder, per_class=6, seed=2)
    return folder


def _run(*arguments):
    return runner.invoke(app, [str(a) for a in arguments])


def _image(path, label="def"):
    cv2.imwrite(str(path), draw("casting", label, np.random.default_rng(0), 300))
    return path


def test_inspect_prints_one_object_an_image(weights, tmp_path):
    a, b = _image(tmp_path / "a.png"), _image(tmp_path / "b c.png", "ok")
    done = _run("inspect", a, b, "--line", "casting", "--weights", weights, "--json")
    assert done.exit_code == 0, done.stderr
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [row["path"] for row in rows] == [str(a), str(b)]
    wanted = {
        "path", "line", "bundle_version", "verdict", "defect_score", "labels", "regions",
        "foreign_score", "objections", "milliseconds",
    }  # fmt: skip
    assert all(wanted <= row.keys() for row in rows)
    assert sum(label["probability"] for label in rows[0]["labels"]) == pytest.approx(1)


def test_the_line_of_an_image_names_the_class_of_its_verdict(weights, tmp_path):
    """A policy that rejects everything calls no part good, however probable."""
    image = _image(tmp_path / "ok.png", "ok")
    common = ("inspect", image, "--line", "casting", "--weights", weights)
    said = _run(*common, "--accept-below", 0, "--reject-above", 0).stdout.split()
    assert said[:2] == ["reject", "def"] and "ok" not in said


def test_a_bad_file_is_named_and_the_others_are_done(weights, tmp_path):
    good = _image(tmp_path / "good.png")
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"<html>")
    gone = tmp_path / "gone.png"
    done = _run("inspect", bad, good, gone, "--line", "casting", "--weights", weights, "--json")
    assert done.exit_code == 1
    rows = {r["path"]: r for r in map(json.loads, done.stdout.splitlines())}
    assert "verdict" in rows[str(good)]
    assert rows[str(bad)]["error"]
    assert rows[str(gone)]["error"]


def test_thresholds_decide_the_verdict(weights, tmp_path):
    image = _image(tmp_path / "a.png")
    common = ("inspect", image, "--line", "casting", "--weights", weights, "--json")
    accepted = json.loads(_run(*common, "--accept-below", 1, "--reject-above", 1).stdout)
    rejected = json.loads(_run(*common, "--accept-below", 0, "--reject-above", 0).stdout)
    assert (accepted["verdict"], rejected["verdict"]) == ("accept", "reject")
    assert accepted["defect_score"] == rejected["defect_score"]


@pytest.mark.slow
def test_inspect_takes_the_bundles_policy_and_gives_regions(tmp_path):
    policy = Policy(accept_below=0.2, reject_above=0.6, smallest_region_px=500, mm_per_px=0.5)
    write_bundle(tmp_path, "severstal-strip", "unet", policy=policy)
    image = tmp_path / "strip.png"
    image.write_bytes(encoded(strip_with()))
    common = ("inspect", image, "--line", "severstal-strip", "--weights", tmp_path)
    found = json.loads(_run(*common, "--json", "--reject-above", 0.7).stdout)
    assert found["policy"] == policy.model_copy(update={"reject_above": 0.7}).model_dump(
        mode="json"
    )
    assert [(r["class"], r["area_mm2"]) for r in found["regions"]] == [("3", 1000), ("2", 225)]
    assert (found["verdict"], found["label"]) == ("reject", "3")
    assert "2 regions" in _run(*common).stdout
    assert "no defect" in _run(*common, "--accept-below", 1, "--reject-above", 1).stdout


@pytest.mark.slow
def test_a_submission_holds_each_image_and_class_as_the_competition_wants_them(tmp_path):
    write_bundle(tmp_path, "severstal-strip", "unet", policy=Policy(smallest_region_px=50))
    image, file = tmp_path / "strip.png", tmp_path / "submission.csv"
    image.write_bytes(encoded(strip_with()))
    common = ("inspect", image, "--line", "severstal-strip", "--weights", tmp_path)
    plain = json.loads(_run(*common, "--json", "--submission", file).stdout)
    with file.open(newline="") as stream:
        header, *rows = csv.reader(stream)
    assert header == ["ImageId_ClassId", "EncodedPixels"]
    texts = dict(rows)
    assert list(texts) == [f"strip.png_{c}" for c in "1234"]
    assert texts["strip.png_4"] == ""
    # column 1300 from row 100: the pixels before it, counted down the columns from 1
    assert texts["strip.png_1"].split()[:2] == [str(1300 * 256 + 100 + 1), "11"]
    drawn = decode_rle(texts["strip.png_3"], 256, 1600)
    assert drawn[40:80, 200:300].all() and drawn.sum() == 4000
    flipped = json.loads(_run(*common, "--json", "--flips").stdout)
    assert [r["box_px"] for r in flipped["regions"]] == [r["box_px"] for r in plain["regions"]]


def test_a_bundle_without_masks_has_nothing_to_submit(weights, tmp_path):
    image = _image(tmp_path / "a.png")
    common = ("inspect", image, "--line", "casting", "--weights", weights)
    done = _run(*common, "--submission", tmp_path / "s.csv")
    assert done.exit_code == 2
    assert "no masks" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("inspect", "x.png", "--line", "engine"), "known are: casting"),
        (("inspect", "x.png", "--line", "casting", "--bundle", "b"), "it has: resnet50"),
        (("evaluate", "--data", "nowhere", "--line", "casting"), "nowhere"),
        (("train", "--data", ".", "--line", "x", "--recipe", "nonsense"), "known recipes"),
        (("train", "--data", ".", "--line", "a/b"), "'a/b' cannot be the name of a line"),
        (("train", "--data", ".", "--line", "../x"), "'../x' cannot be the name of a line"),
        (("train", "--data", ".", "--line", ""), "'' cannot be the name of a line"),
        (("train", "--data", ".", "--line", "x", "--bundle", "Ä b"), "'Ä b' cannot be the name"),
        (
            ("inspect", "x.png", "--line", "casting", "--accept-below", 0.9, "--reject-above", 0.1),
            "must not exceed",
        ),
    ],
)
def test_what_cannot_run_says_why_and_exits_2(weights, arguments, said):
    done = _run(*arguments, "--weights", weights)
    assert done.exit_code == 2
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr and "pydantic" not in done.stderr


def test_lines_lists_and_names_the_damaged(weights, tmp_path):
    rows = json.loads(_run("lines", "--json", "--weights", weights).stdout)
    assert {(r["line"], r["can_accept"]) for r in rows} == {
        ("casting", True),
        ("neu-surface", False),
    }
    write_bundle(tmp_path, "casting", "resnet50")
    (tmp_path / "casting" / "resnet50" / "model.onnx").write_bytes(b"")
    done = _run("lines", "--json", "--weights", tmp_path)
    assert done.exit_code == 1
    assert "model.onnx" in json.loads(done.stdout)[0]["error"]


@pytest.mark.slow
def test_evaluate_gives_every_metric_with_its_interval(weights, labelled):
    done = _run("evaluate", "--data", labelled, "--line", "casting", "--weights", weights, "--json")
    assert done.exit_code == 0, done.stderr
    found = json.loads(done.stdout)
    assert {"line", "bundle", "policy", "images", "metrics"} <= found.keys()
    assert found["images"] == 12
    for name in ("accuracy", "balanced_accuracy", "macro_f1", "auc", "escapes", "overkills"):
        metric = found["metrics"][name]
        assert metric["low"] <= metric["value"] <= metric["high"]
    assert sum(sum(row.values()) for row in found["metrics"]["confusion"].values()) == 12


@pytest.mark.slow
def test_evaluate_leaves_out_what_the_bundle_learned_from(labelled, tmp_path):
    folder = write_bundle(tmp_path, "casting", "resnet50")
    images = sorted(labelled.rglob("*.png"))
    common = ("evaluate", "--data", labelled, "--line", "casting", "--weights", tmp_path, "--json")
    (folder / SEEN_FILE).write_text("\n".join(image_digest(p) for p in images[:3]))
    held_out = json.loads(_run(*common).stdout)
    assert held_out["images"] == 9
    assert not held_out["seen"]
    everything = json.loads(_run(*common, "--include-seen").stdout)
    assert (everything["images"], everything["seen"]) == (12, True)
    (folder / SEEN_FILE).write_text("\n".join(image_digest(p) for p in images))
    refused = _run(*common)
    assert refused.exit_code == 2
    assert "--include-seen" in refused.stderr


def test_a_batch_leaves_as_the_file_that_was_asked_for(weights, tmp_path):
    import pandas as pd

    lot = tmp_path / "lot"
    (lot / "left").mkdir(parents=True)
    _image(lot / "a.png"), _image(lot / "left" / "b.png", "ok")
    (lot / "c.png").write_bytes(b"no image")
    asked = ("batch", lot, "--line", "casting", "--weights", weights, "--out")
    done = _run(*asked, tmp_path / "r.csv", "--json")
    assert done.exit_code == 1
    counts = {"batch": None, "images": 3, "done": 2, "failed": 1, "repeated": 0}
    assert json.loads(done.stdout) == counts
    assert "c.png" in done.stderr
    table = pd.read_csv(tmp_path / "r.csv")
    assert list(table["name"]) == ["a.png", "left/b.png", "c.png"]
    one = _run("inspect", lot / "a.png", "--line", "casting", "--weights", weights, "--json")
    said = json.loads(one.stdout)
    assert (table["verdict"][0], table["label"][0]) == (said["verdict"], said["label"])
    assert table["defect_score"][0] == pytest.approx(said["defect_score"], rel=1e-4)
    assert _run(*asked, tmp_path / "r.parquet").exit_code == 1
    columns = list(pd.read_parquet(tmp_path / "r.parquet").columns)
    assert columns == list(table.columns)


def test_a_batch_that_is_kept_is_in_the_store(weights, tmp_path, monkeypatch):
    from defectvision.store.database import open_store
    from defectvision.store.results import Results

    monkeypatch.setenv("DEFECTVISION_STORE", str(tmp_path / "store"))
    lot = tmp_path / "lot"
    lot.mkdir()
    _image(lot / "a.png")
    done = _run("batch", lot, "--line", "casting", "--weights", weights, "--db", "--json")
    assert done.exit_code == 0, done.stderr
    results = Results.open(open_store(tmp_path / "store"), json.loads(done.stdout)["batch"])
    (found,) = results.every(results.selection(results.policy_in_force().policy))
    assert found.name == "a.png" and found.picture() == (lot / "a.png").read_bytes()
    assert (results.batch.title, results.batch.who) == ("lot", "command line")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "say where the results go"),
        (("--out", "r.docx"), "'.docx' is not one of .csv"),
        (("--out", "r.csv", "--line", "nothing"), "unknown line 'nothing'"),
        (("--out", "nowhere/r.csv"), "nowhere/r.csv: there is no folder nowhere"),
        (("--out", "/proc/r.csv"), "/proc/r.csv: cannot be written"),
        (("--out", f"{'r' * 260}.csv"), "File name too long"),
    ],
)
def test_a_batch_that_cannot_begin_says_why(weights, tmp_path, arguments, words):
    asked = ("batch", tmp_path, "--line", "casting", "--weights", weights, *arguments)
    done = _run(*asked)
    assert done.exit_code == 2
    assert words in " ".join(done.stderr.split())


def test_a_file_that_cannot_be_written_is_refused_before_an_image_is_inspected(weights, tmp_path):
    _image(tmp_path / "a.png")
    (tmp_path / "r.csv").mkdir()
    asked = (tmp_path / "a.png", "--line", "casting", "--weights", weights)
    done = _run("batch", *asked, "--out", tmp_path / "r.csv")
    assert done.exit_code == 2 and "is not an ordinary file" in " ".join(done.stderr.split())
    done = _run("inspect", *asked, "--submission", tmp_path / "r.csv")
    assert done.exit_code == 2 and not done.stdout
    done = _run("data", "report", tmp_path, "--html", "/proc/r.html")
    assert done.exit_code == 2 and "/proc/r.html: cannot be written" in " ".join(
        done.stderr.split()
    )


def test_what_was_inspected_is_kept_where_its_file_cannot_be_written(weights, tmp_path):
    """The folder of the file goes while the batch runs, as a share does."""
    from defectvision.store.database import open_store
    from defectvision.store.results import Results

    lot, share = tmp_path / "lot", tmp_path / "share"
    lot.mkdir(), share.mkdir()
    for i in range(12):
        _image(lot / f"{i}.png")
    command = [sys.executable, "-m", "defectvision.cli", "batch", lot, "--line", "casting"]
    command += ["--weights", weights, "--out", share / "r.csv"]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as running:
        while not list(tmp_path.glob("defectvision-*")):  # made when the target was looked at
            time.sleep(0.01)
        share.rmdir()
        share.write_text("something else")
        said = " ".join(running.communicate()[1].split())
    assert running.returncode == 2 and "r.csv: cannot be written" in said, said
    (kept,) = tmp_path.glob("defectvision-*")
    assert f"kept as batch 1 of DEFECTVISION_STORE={kept}" in said
    results = Results.open(open_store(kept), 1)
    assert results.summary(results.selection(results.policy_in_force().policy)).images == 12
