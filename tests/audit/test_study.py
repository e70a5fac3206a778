"""Whole sets, healthy and broken, through the study, its cache, the report and the command."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from defectvision.audit.findings import findings
from defectvision.audit.study import study
from defectvision.cli.data import app
from defectvision.data.catalog import CatalogError
from defectvision.data.synthetic.samples import draw
from defectvision.limits import PIXELS


def put(file: Path, label: str, seed: int, size: int = 128) -> np.ndarray:
    file.parent.mkdir(parents=True, exist_ok=True)
    image = draw("casting", label, np.random.default_rng(seed), size)
    file.write_bytes(cv2.imencode(".png", image)[1].tobytes())
    return image


@pytest.fixture
def odd_folder(tmp_path: Path) -> Path:
    """Broken images, an empty class, a class of one image, spaces and other scripts."""
    root = tmp_path / "my set"
    for i in range(5):
        put(root / "good part" / f"image {i}.png", "ok", i)
        put(root / "毛刺" / f"图 {i}.png", "def", i)
    put(root / "single" / "one.png", "def", 99)
    (root / "empty").mkdir()
    (root / "good part" / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing")
    (root / "毛刺" / "text.png").write_bytes(b"hello")
    return root


@pytest.mark.slow
def test_each_oddity_has_its_message_and_the_rest_is_shown(
    odd_folder: Path, tmp_path: Path
) -> None:
    found = study(odd_folder, tmp_path / "cache", PIXELS, workers=1)
    assert len(found.pictures) == 11
    assert len(found.failures) == 2
    assert any("broken.jpg" in text for text in found.failures)
    assert any("text.png" in text for text in found.failures)
    assert any("empty" in text for text in found.catalog.warnings)
    content = findings(found)
    assert content["counts"] == {"good part": 6, "毛刺": 6, "single": 1}
    json.dumps(content)


@pytest.mark.slow
def test_second_opening_comes_from_the_cache_also_after_a_move(
    odd_folder: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    first = study(odd_folder, cache, PIXELS, workers=1)
    again = study(odd_folder, cache, PIXELS, workers=1)
    assert not first.from_cache and again.from_cache
    assert again.pictures["brightness"].tolist() == pytest.approx(
        first.pictures["brightness"].tolist(), abs=1e-4
    )
    assert again.groups == first.groups and again.failures == first.failures
    moved = odd_folder.rename(tmp_path / "moved")
    assert study(moved, cache, PIXELS, workers=1).from_cache
    put(moved / "single" / "one.png", "def", 100)
    assert not study(moved, cache, PIXELS, workers=1).from_cache


@pytest.mark.parametrize("make", ["none", "empty", "loose"])
def test_a_set_without_labelled_images_says_so(make: str, tmp_path: Path) -> None:
    root = tmp_path / "set"
    if make != "none":
        root.mkdir()
    if make == "loose":
        put(root / "a.png", "ok", 0)
    with pytest.raises(CatalogError):
        study(root, tmp_path / "cache", PIXELS)


def test_masks_of_another_size_are_named_and_left_out(tmp_path: Path) -> None:
    root = tmp_path / "set"
    put(root / "a.png", "def", 0)
    put(root / "b.png", "def", 1)
    mask = np.zeros((128, 128), np.uint8)
    mask[20:30, 40:80] = 255
    cv2.imwrite(str(root / "a_mask.png"), mask)
    cv2.imwrite(str(root / "b_mask.png"), mask[:64])
    (root / "index.csv").write_text("path,label,mask\na.png,x,a_mask.png\nb.png,x,b_mask.png\n")
    found = study(root, tmp_path / "cache", PIXELS)
    assert found.regions[["image", "area_px"]].to_numpy().tolist() == [[0, 400]]
    assert len(found.failures) == 1 and "b.png" in found.failures[0]
    assert found.coverage["x"].max() == 1


@pytest.mark.slow
def test_leaks_and_the_corrected_index(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for i in range(6):
        image = put(root / "train" / "ok" / f"{i}.png", "ok", i, 200)
        put(root / "train" / "def" / f"{i}.png", "def", i, 200)
        if i < 2:
            turned = np.rot90(image).copy()
            (root / "test" / "ok").mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(root / "test" / "ok" / f"turned {i}.png"), turned)
        put(root / "test" / "def" / f"{i}.png", "def", 50 + i, 200)
    done = CliRunner().invoke(
        app,
        ["report", str(root), "--json", "--cache", str(tmp_path / "cache"), "--workers", "1",
         "--html", str(tmp_path / "report.html"), "--index", str(tmp_path / "index.csv")],
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    content = json.loads(done.stdout.strip().splitlines()[-1])
    groups = [sorted(g["paths"]) for g in content["near_duplicate_groups"]]
    assert groups == [[f"test/ok/turned {i}.png", f"train/ok/{i}.png"] for i in range(2)]
    assert [g["splits"] for g in content["leaks"]["groups"]] == [["test", "train"]] * 2
    assert content["leaks"]["images_also_in_train"] == {"test": 2}
    report = (tmp_path / "report.html").read_text()
    assert "Images per class" in report and 'src="http' not in report
    assert "test/ok/turned 0.png" in (tmp_path / "index.csv").read_text()


def test_the_command_answers_2_for_what_is_no_set(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["report", str(tmp_path / "nowhere")])
    assert done.exit_code == 2
