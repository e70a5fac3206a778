"""Whole sets, healthy and broken, through the study, its cache, the report and the command."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from defectvision.audit import first_pass, reading
from defectvision.audit import study as study_module
from defectvision.audit.findings import findings
from defectvision.audit.forecast import Progress, Step
from defectvision.audit.near_duplicates import Pair, compare_pairs
from defectvision.audit.reading import Reading, Task, read_many
from defectvision.audit.study import Stage, Study, study
from defectvision.cli.data import app
from defectvision.copies.alignment import Agreement
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


@pytest.fixture(scope="module")
def sixty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Enough drawings for processes of their own, one of them turned."""
    root = tmp_path_factory.mktemp("sixty")
    for i in range(60):
        image = put(root / ("ok" if i % 3 else "def") / f"{i:02d}.png", "ok" if i % 3 else "def", i)
        if i == 1:
            cv2.imwrite(str(root / "ok" / "turned.png"), np.rot90(image).copy())
    return root


def same(one: Study, other: Study) -> bool:
    tables = ("pictures", "regions", "pairs", "map")
    return one.groups == other.groups and all(
        getattr(one, name).round(5).equals(getattr(other, name).round(5)) for name in tables
    )


@pytest.mark.slow
def test_each_stage_is_told_as_soon_as_it_is_there(sixty: Path, tmp_path: Path) -> None:
    told: list[Study | Progress] = []
    found = study(sixty, tmp_path / "cache", PIXELS, told.append, 2, staged=told.append)
    stages = [one for one in told if isinstance(one, Study)]
    assert [one.stage for one in stages] == [Stage.LABELS, Stage.PICTURES, Stage.MAP]
    assert found.stage is Stage.COPIES
    labels, pictures, laid = stages
    assert told[0] is labels and labels.pictures.empty and len(labels.catalog) == 61
    assert pictures.pictures.equals(found.pictures) and pictures.map.empty
    assert laid.map.equals(found.map) and not laid.groups
    before = [told[told.index(one) - 1] for one in (pictures, laid)]
    assert [one.step for one in before if isinstance(one, Progress)] == [Step.READ, Step.MAP]
    ends = [one for one in told if isinstance(one, Progress)]
    assert {one.total for one in ends} == {61} and ends[-1].done == 61
    assert [one.share for one in ends] == sorted(one.share for one in ends)


DIES = "17.png"


def deadly(tasks: list[Task]) -> tuple[list[Reading], float | None]:
    if any(task.path.endswith(DIES) for task in tasks):
        os.kill(os.getpid(), signal.SIGKILL)  # as a decoder that crashes
    return read_many(tasks)


@pytest.mark.slow
def test_a_picture_that_ends_the_program_costs_only_itself(
    sixty: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(first_pass, "read_many", deadly)
    found = study(sixty, tmp_path / "cache", PIXELS, workers=2)
    assert [DIES in text for text in found.failures] == [True]
    assert len(found.pictures) == 60
    monkeypatch.undo()
    whole = study(sixty, tmp_path / "other", PIXELS, workers=2)
    left = whole.pictures[~whole.pictures["path"].str.endswith(DIES)]
    assert left.reset_index(drop=True).equals(found.pictures)


def test_whatever_is_wrong_with_a_picture_is_said_and_not_raised(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise cv2.error("out of its depth")

    put(tmp_path / "a.png", "ok", 0)
    monkeypatch.setattr(reading, "extract", broken)
    (found,), _ = read_many([Task(0, str(tmp_path), "a.png", PIXELS, None)])
    assert found.measures is None and "a.png" in found.errors[0]
    assert "out of its depth" in found.errors[0]


STUDY = """
import sys
from pathlib import Path
from defectvision.audit.study import study
from defectvision.limits import PIXELS
def tell(progress):
    print(progress.step.name, progress.done, flush=True)
study(Path(sys.argv[1]), Path(sys.argv[2]), PIXELS, tell, 2)
"""


@pytest.mark.slow
@pytest.mark.parametrize("when", ["READ 32", "COMPARE 2"])
def test_what_was_measured_before_a_kill_is_not_measured_again(
    sixty: Path, tmp_path: Path, when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "cache"
    command = [sys.executable, "-c", STUDY, str(sixty), str(cache)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith(when):
                process.kill()
                break
        else:
            pytest.fail(f"the study never said {when}")
    seen: list[str] = []

    def counted(tasks: list[Task]) -> tuple[list[Reading], float | None]:
        seen.extend(task.path for task in tasks)
        return read_many(tasks)

    compared: list[Pair] = []

    def comparing(folder: Path, count: int, pairs: list[Pair]) -> list[Agreement | None]:
        compared.extend(pairs)
        return compare_pairs(folder, count, pairs)

    monkeypatch.setattr(first_pass, "read_many", counted)
    monkeypatch.setattr(study_module, "compare_pairs", comparing)
    told: list[Progress] = []
    found = study(sixty, cache, PIXELS, told.append, 1)
    assert not found.from_cache
    begun = next(one for one in told if one.step is Step.READ)
    if when.startswith("READ"):
        assert begun.done >= 32 and len(seen) == 61 - begun.done
    else:
        assert begun.done == 61 and seen == []
    again = len(compared)
    seen.clear(), compared.clear()
    whole = study(sixty, tmp_path / "other", PIXELS, workers=1)
    assert len(seen) == 61 and same(found, whole)
    assert again == len(compared) if when.startswith("READ") else again < len(compared)
    assert list((cache / "unfinished").iterdir()) == []
