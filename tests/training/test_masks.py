"""Masks on their way into a training: placed, varied, pasted, cut out, put into folds."""

import random
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from defectvision.bundle.line import DefectClass, Line
from defectvision.bundle.schema import Preprocessing
from defectvision.data.catalog import Catalog, catalog_table
from defectvision.data.image_set import ImageSet
from defectvision.evaluation.evaluate import labelled
from defectvision.training.augmentation import Augment
from defectvision.training.dataset import PlacedImages, VariedImages
from defectvision.training.division import fold_of, fold_splits
from defectvision.training.examples import Example
from defectvision.training.objective import Objective
from defectvision.training.paste import paste_defect
from defectvision.training.recipe import Augmentation, Recipe, Split
from defectvision.training.targets import targets_of

HOW = Preprocessing(height=64, width=128, fit="letterbox")


def _line(mode):
    good = (DefectClass(name="ok", title="Good", kind="ok", colour="#000000"),)
    defects = tuple(
        DefectClass(name=n, title=n, kind="defect", colour="#000000") for n in ("a", "b")
    )
    classes = defects if mode == "multilabel" else good + defects
    return Line(name="x", title="X", classes=classes, label_mode=mode, default_bundle="x")


@pytest.fixture
def images(tmp_path):
    """Dark images of 96x192 with one bright square each where the label is a or b, `ok` without."""
    rng = np.random.default_rng(0)
    rows = {"path": [], "label": [], "mask": [], "photo_group": []}
    for i in range(18):
        label = ("a", "b", "")[i % 3]
        picture = rng.integers(20, 40, (96, 192)).astype(np.uint8)
        mask = np.zeros_like(picture)
        if label:
            top, left = rng.integers(10, 60), rng.integers(10, 150)
            mask[top : top + 20, left : left + 20] = 255
            picture[mask > 0] = 230
        cv2.imwrite(str(tmp_path / f"{i}.png"), picture)
        cv2.imwrite(str(tmp_path / f"{i}_mask.png"), mask)
        rows["path"].append(f"{i}.png")
        rows["label"].append(label)
        rows["mask"].append(f"{i}_mask.png" if label else "")
        rows["photo_group"].append(str(i // 2))
    return ImageSet(Catalog(tmp_path, catalog_table(rows), "squares"))


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"rotation": 30, "zoom": 0.2, "shift": 0.1},
        {"stretch": 0.4, "upside_down": True},
        {"crop": [1.0, 0.5], "on_defect": 1.0},
    ],
    ids=["plain", "affine", "stretched", "window"],
)
def test_masks_move_with_their_pixels(images, setting):
    random.seed(0)
    torch.manual_seed(0)
    augment = Augment(Augmentation(**setting), HOW)
    data = VariedImages(PlacedImages(images, _line("multilabel"), HOW, ("a", "b")), augment)
    for i in (0, 1, 3, 4):
        for _ in range(6):
            example = data[i]
            mask = example.masks.any(0)
            assert example.image.shape[1:] == mask.shape == example.counts.shape
            bright = (example.image[0] > 2) & example.counts
            both = (bright & mask).sum() / (bright | mask).sum().clamp_min(1)
            assert both > 0.75 or (bright | mask).sum() < 20
            assert example.masks.sum((1, 2)).argmax() == i % 3 or not mask.any()


def test_a_window_around_a_defect_holds_it_and_another_may_not(images):
    random.seed(1)
    line = _line("multiclass")
    images = replace(images, catalog=labelled(images.catalog, line))
    for share, least, most in ((1.0, 40, 40), (0.0, 5, 35)):
        augment = Augment(Augmentation(crop=(0.5, 0.3), on_defect=share), HOW)
        data = VariedImages(PlacedImages(images, line, HOW, ("a", "b")), augment)
        drawn = [data[1] for _ in range(40)]
        held = sum(bool(e.masks[1].sum() >= 4) for e in drawn)
        assert least <= held <= most
        # The label follows what the window shows: b is class 2, a window without it is good.
        assert {int(e.target) for e in drawn if e.masks[1].sum() >= 4} == {2}
        assert {int(e.target) for e in drawn if not e.masks[1].sum()} <= {0}


def test_targets_of_several_labels(images):
    table = images.catalog.table.assign(label=["a|b", "b", ""] * 6)
    found = targets_of(Catalog(images.catalog.root, table, "x"), _line("multilabel"))
    assert found[:3].tolist() == [[1, 1], [0, 1], [0, 0]]


def test_an_unmarked_defect_counts_nowhere(images):
    table = images.catalog.table.assign(mask="")
    data = PlacedImages(
        ImageSet(Catalog(images.catalog.root, table, "x")), _line("multilabel"), HOW, ("a",)
    )
    assert not data[0].counts.any()  # shows a, nobody says where
    assert data[1].counts.any()  # shows b, whose masks are not learned
    assert data[2].counts.any()  # shows nothing


def test_beside_a_picture_nothing_is_to_be_drawn(images):
    """A picture twice as wide as high, in a square frame; what is drawn in its bars costs."""
    how = Preprocessing(height=64, width=64, fit="letterbox")
    line = _line("multilabel")
    placed = PlacedImages(images, line, how, ("a", "b"))
    recipe = Recipe.model_validate(
        {"architecture": "joint_efficientnet_lite0", "preprocessing": how,
         "masks": {"losses": {"bce_dice": 1.0}}}
    )  # fmt: skip
    objective = Objective(recipe, line, placed)
    example = VariedImages(placed, Augment(Augmentation(), how))[1]
    batch = Example(*(one[None] for one in example))
    right = torch.where(batch.masks, 9.0, -9.0)
    bars = right.clone()
    bars[:, :, :8] = 9.0
    assert not example.image[0, :8].any()
    assert objective.mask_loss(bars, batch) > 2 * objective.mask_loss(right, batch)


def test_a_pasted_defect_is_where_its_mask_says(images):
    random.seed(2)
    data = PlacedImages(images, _line("multilabel"), HOW, ("a", "b"))
    good, donor = data.marked(2), data.marked(0)
    for _ in range(10):
        mixed = paste_defect(good, donor)
        changed = mixed.placed.pixels.astype(int) - good.placed.pixels
        assert mixed.masks[0].sum() == donor.masks[0].sum() and not mixed.masks[1].any()
        assert changed[mixed.masks[0]].min() > 100
        far = cv2.dilate(mixed.masks[0].astype(np.uint8), np.ones((25, 25))) == 0
        assert not changed[far].any()
    assert paste_defect(donor, good) is donor
    assert not good.masks.any()


def test_pasting_makes_defective_examples_of_good_images(images):
    random.seed(3)
    line = _line("multiclass")
    images = replace(images, catalog=labelled(images.catalog, line))
    augment = Augment(Augmentation(mirror=False), HOW)
    data = VariedImages(PlacedImages(images, line, HOW, ("a", "b")), augment, paste=1.0)
    drawn = [data[2] for _ in range(20)]
    assert all(int(e.target) == 1 + int(e.masks.sum((1, 2)).argmax()) for e in drawn)
    assert {int(e.target) for e in drawn} == {1, 2}


def test_folds_ask_about_each_image_once_and_keep_groups_whole(images):
    split = Split(folds=3)
    part = fold_of(images.catalog, 3, split.seed)
    groups = images.catalog.groups()
    assert all(len(set(part[groups == g])) == 1 for g in set(groups))
    folds = list(fold_splits(images, split))
    asked = [p for f in folds for p in f.subset("test").catalog.table["path"]]
    assert sorted(asked) == sorted(images.catalog.table["path"])
    for fold in folds:
        table = fold.catalog.table
        assert set(table["split"]) == {"train", "val", "test"}
        assert table.groupby("photo_group")["split"].nunique().max() == 1
    assert list(fold_splits(images, Split())) == []
