"""Recipes, sampling, augmentation and pretrained weights, each against a known answer."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch

from defectvision.bundle.line import DefectClass, Line
from defectvision.bundle.schema import Preprocessing
from defectvision.data.catalog import Catalog, catalog_table
from defectvision.data.image_set import ImageSet
from defectvision.inference.preprocessing import place
from defectvision.training.augmentation import Augment
from defectvision.training.division import without_contradictions
from defectvision.training.examples import Marked
from defectvision.training.imbalance import epoch_order, loss_weights, sampling_weights
from defectvision.training.new_line import good_parts_line_for
from defectvision.training.recipe import (
    Augmentation,
    Imbalance,
    RecipeError,
    find_recipe,
    load_recipe,
)
from defectvision.training.targets import class_counts
from defectvision.training.task import fresh_network

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


@pytest.mark.parametrize("file", sorted(RECIPES.glob("*.yaml")), ids=lambda p: p.stem)
def test_shipped_recipes_are_valid_and_name_a_known_architecture(file):
    recipe = load_recipe(file)
    masked = (recipe.masks and recipe.masks.classes) or ()
    line = _line("a", "b", *masked)
    if recipe.memory:
        table = catalog_table({"path": ["a.png"], "label": [""]})
        line = good_parts_line_for(Catalog(Path("parts"), table, "parts"), Path("parts"), "a")
    assert sum(p.numel() for p in fresh_network(recipe, line).parameters()) > 3e5
    assert find_recipe(file.stem, RECIPES) == file


def _line(*defects):
    return Line(
        name="x",
        title="X",
        classes=tuple(
            DefectClass(name=n, title=n, kind="defect", colour="#000000") for n in defects
        ),
        default_bundle="x",
    )


def test_masks_are_learned_of_the_classes_that_a_recipe_names(tmp_path):
    file = tmp_path / "recipe.yaml"
    text = "architecture: fcn\npreprocessing: {height: 32, width: 32, fit: stretch}\n"
    file.write_text(text + "masks: {classes: [c, a]}\n")
    recipe, line = load_recipe(file), _line("a", "b", "c")
    assert recipe.mask_classes(line) == ("a", "c")
    with torch.inference_mode():
        assert fresh_network(recipe, line).eval()(torch.zeros(1, 1, 32, 32)).masks.shape[1] == 2
    with pytest.raises(RecipeError, match="'c' is no defect of line 'x', which has: a, b"):
        fresh_network(recipe, _line("a", "b"))


@pytest.mark.parametrize("pretrained", ["none", "hub"])
def test_reference_configuration(pretrained):
    """ResNet50, batch 32, 5 epochs, AdamW at 0.001, cosine, no decay, no clipping, at 224."""
    suffix = "" if pretrained == "none" else "-pretrained"
    recipe = load_recipe(RECIPES / f"reference-resnet50{suffix}.yaml")
    assert recipe.pretrained == pretrained
    assert (recipe.architecture, recipe.pooling) == ("resnet50", "mean")
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate) == (5, 32, 0.001)
    assert recipe.weight_decay == recipe.gradient_clip == recipe.warmup_steps == 0
    assert (recipe.preprocessing.height, recipe.preprocessing.width) == (224, 224)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs: 0\narchitecture: resnet50", "epochs"),
        ("architecture: resnet50\nlearning_rate: fast", "learning_rate"),
        ("architecture: resnet50\ntypo: 1", "typo"),
        ("- a list", "mapping"),
        ("a: [", "YAML"),
    ],
)
def test_wrong_recipe_is_named_with_its_field(tmp_path, text, said):
    file = tmp_path / "wrong.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=said) as caught:
        load_recipe(file)
    assert "wrong.yaml" in str(caught.value)


def test_unknown_recipe_is_answered_with_the_known_ones():
    with pytest.raises(RecipeError, match="reference-resnet50"):
        find_recipe("nonsense", RECIPES)


def _catalog(rows, folder=Path("/nowhere")):
    labels, groups = zip(*rows, strict=True)
    columns = {
        "path": [f"{i}.png" for i in range(len(rows))],
        "label": labels,
        "photo_group": groups,
        "split": ["train"] * len(rows),
    }
    return Catalog(root=folder, table=catalog_table(columns), name="test", layout="index.csv")


def test_class_weights_known_answers():
    line, counts = _line("a", "b"), class_counts(np.array([0] * 90 + [1] * 10), 2)
    assert counts.tolist() == [90, 10]
    inverse = loss_weights(counts, Imbalance(class_weights="inverse"), line)
    assert inverse.tolist() == pytest.approx([0.2, 1.8])
    assert loss_weights(counts, Imbalance(), line).tolist() == [1, 1]
    effective = loss_weights(counts, Imbalance(class_weights="effective"), line)
    wanted = (1 - 0.999**90) / (1 - 0.999**10)
    assert (effective[1] / effective[0]).item() == pytest.approx(wanted, rel=1e-5)


def test_sampling_balances_classes_then_groups():
    rows = [("def", "a")] * 80 + [("def", "b")] * 20 + [("ok", "c")] * 5
    catalog = _catalog(rows)
    weights = sampling_weights(catalog, Imbalance(sampling="class_and_group"))
    total = weights / weights.sum()
    assert total[:80].sum() == pytest.approx(0.25)
    assert total[80:100].sum() == pytest.approx(0.25)
    assert total[100:].sum() == pytest.approx(0.5)
    by_class = sampling_weights(catalog, Imbalance(sampling="class"))
    assert by_class[:100].sum() == pytest.approx(by_class[100:].sum())
    by_root = sampling_weights(catalog, Imbalance(sampling="square_root"))
    assert by_root[:100].sum() / by_root[100:].sum() == pytest.approx((100 / 5) ** 0.5)
    assert sampling_weights(catalog, Imbalance()) is None


def test_epoch_order_takes_each_image_once_and_repeats_for_its_seed():
    order = epoch_order(None, 50, 50, seed=7)
    assert sorted(order) == list(range(50))
    assert (order == epoch_order(None, 50, 50, seed=7)).all()
    assert (order != epoch_order(None, 50, 50, seed=8)).any()
    drawn = epoch_order(np.array([0.0, 1.0, 3.0]), 3, 4000, seed=0)
    assert 0 not in drawn
    assert (drawn == 2).mean() == pytest.approx(0.75, abs=0.03)


def test_outvoted_labels_are_left_out():
    rows = [("ok", "a"), ("ok", "a"), ("def", "a"), ("def", "b"), ("def", ""), ("ok", "")]
    kept = without_contradictions(ImageSet(_catalog(rows))).catalog
    assert kept.table["path"].tolist() == ["0.png", "1.png", "3.png", "4.png", "5.png"]


HOW = Preprocessing(height=64, width=64)


def _marked(image):
    return Marked(place(image, HOW), np.zeros((0, 64, 64), bool), False)


@pytest.mark.parametrize(
    "setting",
    [
        {"rotation": 30},
        {"quarter_turns": True},
        {"zoom": 0.2},
        {"shift": 0.2},
        {"stretch": 0.3},
        {"contrast": 0.5},
        {"gradient": 0.8},
        {"blur": 2.0},
        {"noise": 0.5},
        {"mirror": True},
        {"upside_down": True},
    ],
    ids=lambda s: next(iter(s)),
)
def test_each_variation_varies_and_keeps_the_shape(setting):
    rng = np.random.default_rng(0)
    marked = _marked(rng.integers(0, 256, (64, 64)).astype(np.uint8))
    plain = Augment(Augmentation(mirror=False), HOW)(marked).image
    varied = Augment(Augmentation(**{"mirror": False, **setting}), HOW)
    results = [varied(marked).image for _ in range(12)]
    assert all(r.shape == plain.shape == (1, 64, 64) for r in results)
    assert all(torch.isfinite(r).all() for r in results)
    assert any((r - plain).abs().max() > 0.05 for r in results)


def test_surroundings_change_and_the_part_does_not():
    marked = _marked(np.full((64, 64), 90, np.uint8))
    inside = np.zeros((64, 64), bool)
    inside[16:48, 16:48] = True
    marked = marked._replace(placed=dataclasses.replace(marked.placed, inside=inside))
    augment = Augment(Augmentation(mirror=False, surroundings=1.0), HOW)
    varied = torch.stack([augment(marked).image for _ in range(20)])[:, 0]
    assert varied[:, inside].std(0).max() == 0
    assert varied[:, ~inside].std(0).min() > 0.3


def test_a_window_shows_all_of_a_picture_whose_masks_nobody_knows():
    image = np.full((64, 64), 90, np.uint8)
    image[24:40] = 200
    image[:8, :8] = image[-8:, -8:] = 255  # far apart: no window of half the side holds both
    bright = (place(image, HOW).pixels == 255).mean()
    augment = Augment(Augmentation(mirror=False, crop=0.5), HOW)
    marked = Marked(place(image, HOW), np.zeros((1, 64, 64), bool), False)
    shown = [augment(marked) for _ in range(8)]
    assert all(one.image.shape == (1, 32, 32) and not one.counts.any() for one in shown)
    limit = 0.97 * shown[0].image.max()

    def both(picture):
        return bool(picture[:6, :6].max() > limit and picture[-6:, -6:].max() > limit)

    assert all(both(one.image[0]) for one in shown)
    assert all(
        float((one.image > limit).float().mean()) == pytest.approx(bright, abs=0.02)
        for one in shown
    )
    assert not any(both(augment(marked._replace(known=True)).image[0]) for _ in range(20))
