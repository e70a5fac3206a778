"""Distillation without labels: the pool, the crops, the loop, and what comes out of it."""

from __future__ import annotations

import fcntl
import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch.nn import functional
from typer.testing import CliRunner

from defectvision.cli.main import app
from defectvision.models import create_model
from defectvision.training import distillation, unlabelled
from defectvision.training.distillation import Distillation, Run, distil, load_distillation
from defectvision.training.pretrained import load_pretrained
from defectvision.training.probe import ProbeSet, probe
from defectvision.training.teaching import Answer, losses
from defectvision.training.unlabelled import Crops, PoolError, crop, crop_batch, open_pool

RECIPE = Path(__file__).parents[2] / "recipes" / "distillation" / "resnet50-general.yaml"
UNCHANGED = {
    **{"smallest": 1.0, "stretch": 1.0, "turned": 0, "grey": 0, "even": 0, "contrast": 0},
    **{"brightness": 0, "gamma": 1, "tint": 0, "inverted": 0, "blurred": 0, "noisy": 0},
}


def blots(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
    """(height, width[, channels]) uint8, smooth and different everywhere."""
    coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, channels)).astype(np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    sizes = {"square": (160, 160), "strip": (64, 400), "tall": (300, 90)}
    for number, (name, size) in enumerate(sizes.items()):
        cv2.imwrite(str(folder / f"{name}.png"), blots(*size, seed=number))
    cv2.imwrite(str(folder / "grey.png"), blots(120, 150, 1, seed=9))
    return folder


@pytest.fixture
def pool(source: Path, tmp_path: Path) -> unlabelled.Pool:
    return open_pool([source], tmp_path / "pool")


def recipe(**changes) -> Distillation:
    settings = {
        **{"student": "resnet18", "stages": [{"samples": 24, "size": 32}], "batch_size": 4},
        **{"learning_rate": 0.0005, "cooldown": 0.5},
    }
    return Distillation.model_validate(settings | changes)


def test_a_damaged_image_is_left_out_and_named(source, tmp_path, caplog):
    (source / "broken.png").write_bytes((source / "square.png").read_bytes()[:200])
    (source / "text.jpg").write_text("no picture")
    cv2.imwrite(str(source / "tiny.png"), blots(20, 20))
    with caplog.at_level(logging.WARNING):
        pool = open_pool([source], tmp_path / "pool")
    assert sorted(p.name for p in pool.pictures) == [
        *("grey.png", "square.png", "strip.png", "tall.png")
    ]
    for name in ("broken.png", "text.jpg", "tiny.png"):
        assert any(name in line for line in pool.left_out)
        assert name in caplog.text


def test_an_index_says_which_files_are_images_and_not_masks(source, tmp_path):
    rows = "path,label,mask\nsquare.png,crack,strip.png\n"
    (source / "index.csv").write_text(rows)
    pool = open_pool([source], tmp_path / "pool")
    assert [p.name for p in pool.pictures] == ["square.png"]


def test_a_pool_is_decoded_once_and_anew_for_other_folders(source, tmp_path, pool):
    before = (tmp_path / "pool" / "pool.u8").stat().st_mtime_ns
    assert len(open_pool([source], tmp_path / "pool")) == len(open_pool([], tmp_path / "pool")) == 4
    assert (tmp_path / "pool" / "pool.u8").stat().st_mtime_ns == before
    other = tmp_path / "other"
    other.mkdir()
    cv2.imwrite(str(other / "one.png"), blots(90, 90))
    assert [p.name for p in open_pool([other], tmp_path / "pool").pictures] == ["one.png"]
    with pytest.raises(PoolError, match="holds no images"):
        open_pool([tmp_path / "nothing"], tmp_path / "pool")
    with pytest.raises(PoolError, match="no pool is here yet"):
        open_pool([], tmp_path / "none")


def test_grey_pictures_are_kept_in_one_channel(pool):
    channels = {p.name: p.channels for p in pool.pictures}
    assert channels["grey.png"] == 1
    assert channels["square.png"] == 3
    for index, picture in enumerate(pool.pictures):
        for level, (_, height, width) in enumerate(picture.levels):
            assert pool.pixels(index, level).shape == (height, width, picture.channels)


@pytest.mark.parametrize("side", [128, 300, 520])
def test_a_crop_of_the_whole_is_the_picture_turned_or_mirrored(tmp_path, side):
    cv2.imwrite(str(tmp_path / "a.png"), blots(side, side)[:, :, ::-1])
    pool = open_pool([tmp_path], tmp_path / "pool")
    seen = crop(pool, 5, 128, Crops(**UNCHANGED), seed=0).astype(float)
    whole = cv2.resize(blots(side, side), (128, 128), interpolation=cv2.INTER_AREA).astype(float)
    turned = [np.rot90(x, k) for x in (whole, whole[:, ::-1]) for k in range(4)]
    errors = sorted(np.abs(seen - x).mean() for x in turned)
    assert errors[0] < 1.5
    assert errors[1] > 10


def test_a_crop_follows_from_the_seed_and_its_number(pool):
    first = crop(pool, 7, 48, Crops(), seed=1)
    assert first.shape == (48, 48, 3)
    assert first.dtype == np.uint8
    assert (first == crop(pool, 7, 48, Crops(), seed=1)).all()
    assert (first != crop(pool, 8, 48, Crops(), seed=1)).any()
    assert (first != crop(pool, 7, 48, Crops(), seed=2)).any()


@pytest.mark.parametrize("kind", ["cutmix", "mixup"])
def test_batches_are_mixed_of_their_own_crops(pool, kind):
    shares = {"cutmix": 0, "mixup": 0}
    plain = crop_batch(pool, 8, 6, 32, Crops(**shares), seed=3)
    assert (plain[2] == crop(pool, 10, 32, Crops(), seed=3)).all()
    mixed = crop_batch(pool, 8, 6, 32, Crops(**shares | {kind: 1}), seed=3)
    assert mixed.shape == plain.shape
    assert (mixed != plain).any()
    if kind == "cutmix":  # each pixel is that of one of the crops, at its place
        assert (mixed[:, None] == plain[None]).all(-1).any(1).all()


def test_a_pool_draws_each_picture(pool):
    drawn = {pool.draw(at) for at in np.linspace(0, 1, 200)}
    assert drawn == {0, 1, 2, 3}


def test_losses_are_nothing_for_the_same_and_one_for_the_mean_alone():
    logits = torch.randn(6, 1000)
    features = [torch.randn(6, 5, 4, 4) * 3 + 2, torch.randn(6, 7, 2, 2)]
    even = [functional.batch_norm(x, None, None, training=True) for x in features]
    teacher = Answer(features, logits)
    same = losses(Answer(even, logits + 3), teacher, temperature=2.0)
    assert all(term < 1e-4 for term in same.values())
    ignorant = losses(Answer([0 * x for x in even], 0 * logits), teacher, temperature=2.0)
    assert ignorant["stride16"] == pytest.approx(1, abs=0.01)
    assert ignorant["stride32"] == pytest.approx(1, abs=0.01)
    # log(1000) less the entropy of the softened answers, times 2 squared
    soft = (logits / 2).softmax(1)
    wanted = 4 * (np.log(1000) + (soft * soft.log()).sum(1).mean())
    assert ignorant["answers"] == pytest.approx(float(wanted), rel=0.01)


@pytest.mark.parametrize(
    ("sample", "size", "rate"),
    [
        (0, 32, 0.01),
        (36, 32, 0.1),
        (90, 32, 0.1),
        (100, 64, 0.1),
        (180, 64, 0.05),
        (200, 64, 0.0),
        (208, 64, 0.0),
    ],
)
def test_size_and_rate_follow_the_samples(sample, size, rate):
    stages = [{"samples": 100, "size": 32}, {"samples": 100, "size": 64}]
    settings = recipe(stages=stages, learning_rate=0.1, warmup=40, cooldown=0.2)
    assert settings.size_at(sample) == size
    assert settings.rate_at(sample) == pytest.approx(rate)


def test_the_shipped_recipe_is_valid():
    settings = load_distillation(RECIPE)
    assert settings.student == "resnet50"
    assert settings.samples >= 1_000_000
    assert [stage.size for stage in settings.stages] == [128, 192]


@pytest.mark.slow
def test_the_losses_fall(pool, tmp_path):
    run = Run(recipe(stages=[{"samples": 1000, "size": 64}]), tmp_path / "run")
    crops = crop_batch(pool, 0, 8, 32, Crops(cutmix=0, mixup=0), seed=0)
    images = torch.from_numpy(crops)
    history = [run.step(images) for _ in range(15)]
    for name, first in history[0].items():
        assert history[-1][name] < 0.8 * first, name


@pytest.mark.slow
def test_a_killed_run_goes_on_as_if_it_had_not_been(pool, tmp_path, monkeypatch):
    monkeypatch.setattr(distillation, "CHECKPOINT_SECONDS", -1)
    monkeypatch.setattr(distillation, "REPORT_SAMPLES", 4)
    whole = distil(recipe(), pool, tmp_path / "whole")

    def killed(pool, first, *others):
        if first == 12:
            raise KeyboardInterrupt
        return crop_batch(pool, first, *others)

    monkeypatch.setattr(distillation, "crop_batch", killed)
    with pytest.raises(KeyboardInterrupt):
        distil(recipe(), pool, tmp_path / "killed")
    (tmp_path / "killed" / ".checkpoint.pt.0.pt").write_bytes(b"half written")
    with (tmp_path / "killed" / "losses.jsonl").open("a") as file:
        file.write(json.dumps({"samples": 16}) + "\n")  # noted, but not in the checkpoint
    firsts = []
    monkeypatch.setattr(
        distillation, "crop_batch", lambda *given: (firsts.append(given[1]), crop_batch(*given))[1]
    )
    again = distil(recipe(), pool, tmp_path / "killed")
    assert firsts == [12, 16, 20]
    one, other = load_file(whole), load_file(again)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    rows = [json.loads(x) for x in (tmp_path / "killed" / "losses.jsonl").open()]
    assert [row["samples"] for row in rows] == [4, 8, 12, 16, 20, 24]
    firsts.clear()
    distil(recipe(), pool, tmp_path / "killed")  # finished: nothing is left to learn
    assert firsts == []


@pytest.mark.slow
def test_a_run_stops_when_asked_and_goes_on(pool, tmp_path):
    asked = iter([False, False, True])
    distil(recipe(), pool, tmp_path / "run", stopping=lambda: next(asked))
    assert Run(recipe(), tmp_path / "run").position.samples == 8


@pytest.mark.parametrize(
    ("now", "load", "threads"), [(4, 4.0, 4), (1, 1.2, 4), (4, 6.1, 2), (4, 30.0, 1), (1, 0.0, 4)]
)
def test_threads_are_those_that_other_work_leaves(monkeypatch, now, load, threads):
    chosen = []
    monkeypatch.setattr(torch, "get_num_threads", lambda: now)
    monkeypatch.setattr(torch, "set_num_threads", chosen.append)
    distillation.fit_threads(4, load)
    assert chosen == [threads]


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        refused = CliRunner().invoke(app, ["distil", "--run", str(tmp_path)])
    assert refused.exit_code == 2
    assert "another process trains" in " ".join(refused.output.split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("student", "architecture"), [("resnet18", "unet_resnet18"), ("resnet50", "resnet50")]
)
def test_the_result_is_taken_as_pretrained_weights(pool, tmp_path, student, architecture):
    settings = recipe(student=student, stages=[{"samples": 4, "size": 32}])
    file = distil(settings, pool, tmp_path / "run")
    kept = load_file(file)
    assert kept["conv1.weight"].dtype == torch.float16
    assert kept["bn1.running_var"].dtype == torch.float32
    assert not any(name.startswith("fc.") for name in kept)
    model = create_model(architecture, 3, channels=1)
    assert "weights.safetensors" in load_pretrained(model, str(file))
    wanted = kept["conv1.weight"].float().sum(1, keepdim=True)
    torch.testing.assert_close(model.backbone.conv1.weight, wanted, atol=1e-2, rtol=1e-2)
    assert torch.equal(model.backbone.layer4[0].bn1.running_mean, kept["layer4.0.bn1.running_mean"])


def test_a_probe_reads_labels_and_not_groups():
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(40), 5).astype(str)
    labels = np.where(np.arange(200) // 5 % 2, "def", "ok")
    shown = np.zeros((200, 4, 4), np.float16)
    shown[:, 0, 0] = (labels == "def") * 4 + rng.normal(size=200)
    shown[:, 1, 1:] = rng.normal(size=(40, 3))[groups.astype(int)] * 10  # the group's alone
    images = ProbeSet("parts", shown, labels, groups)
    telling = probe(lambda batch: batch[:, 0, :1].copy(), images)
    assert min(telling.values()) > 0.95
    groupwise = probe(lambda batch: batch[:, 1, 1:].copy(), images)
    assert max(groupwise.values()) < 0.75


@pytest.mark.slow
def test_the_curve_begins_with_the_teacher(pool, tmp_path):
    rng = np.random.default_rng(0)
    labels = np.tile(["a", "b", "c"], 20)
    images = rng.normal(size=(60, 64, 64)).astype(np.float16)
    images[labels == "b", ::2] += 2
    images[labels == "c", :, ::2] += 2
    probes = [ProbeSet("stripes", images, labels, np.arange(60).astype(str))]
    settings = recipe(stages=[{"samples": 16, "size": 32}], probe_every=8, probe_first=4)
    distil(settings, pool, tmp_path / "run", probes)
    rows = [json.loads(line) for line in (tmp_path / "run" / "probe.jsonl").open()]
    assert [(r["network"], r["samples"]) for r in rows] == [
        *(("teacher", 0), ("student", 4), ("student", 8), ("student", 16))
    ]
    assert rows[0]["stripes"]["linear"] > 0.9
