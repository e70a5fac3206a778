"""One training as one object: what is learned, what is told apart, and from which images."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors.torch import load_file

from defectvision.bundle.labels import DEVIATION, is_good_label
from defectvision.bundle.line import Line
from defectvision.data.catalog import SPLITS, CatalogError
from defectvision.data.image_set import ImageSet
from defectvision.evaluation.evaluate import labelled
from defectvision.models.prediction import Network
from defectvision.models.trained import build_network
from defectvision.training.augmentation import Augment
from defectvision.training.dataset import PlacedImages, VariedImages
from defectvision.training.division import (
    divide,
    divide_good_parts,
    fold_splits,
    without_contradictions,
)
from defectvision.training.imbalance import named_weights
from defectvision.training.objective import Objective
from defectvision.training.recipe import Recipe
from defectvision.words import counted

log = logging.getLogger(__name__)

LEAST_LEARNED = 2  # images, and classes where an image has one
LEAST_PARTS = 5  # that differ, to learn a line from good parts alone
LEAST_NAMED = 4  # parts that show a defect, to know it by name beside what is remembered


@dataclass(frozen=True, eq=False)
class TrainingTask:
    """Made once and handed to all that trains, calibrates, exports and quantises.

    images: labelled as the line names its classes, each in the split `train`, `val` or `test`.
    fold: which fold of the recipe it is; None for the whole.
    """

    recipe: Recipe
    line: Line
    images: ImageSet
    fold: int | None = None

    @classmethod
    def of(cls, recipe: Recipe, line: Line, images: ImageSet) -> TrainingTask:
        """The task of a labelled set, whose images can all be read.

        The catalog's own train, val and test splits are used where it has all three and no photo
        group is on two sides; else it is divided as the recipe says. Raises RecipeError where the
        recipe does not fit the line, CatalogError where the images cannot be learned from.
        """
        recipe.mask_classes(line)
        if isinstance(recipe.imbalance.class_weights, dict):
            named_weights(recipe.imbalance.class_weights, line)
        images = replace(images, catalog=labelled(images.catalog, line))
        if recipe.masks and not images.has_masks:
            raise CatalogError(
                f"{images.catalog.root}: has no masks, and the recipe learns them. Name them in "
                "the mask column of index.csv, or take `masks` out of the recipe"
            )
        if recipe.memory:
            divided = divide_good_parts(images.catalog, recipe.memory.names)
        else:
            divided = divide(images.catalog, recipe.split)
        for warning in divided.warnings:
            log.warning(warning)
        task = cls(recipe, line, replace(images, catalog=divided))
        task._check_enough()
        return task

    def _check_enough(self) -> None:
        table, root = self.images.catalog.table, self.images.catalog.root
        if self.recipe.memory:
            learned, groups = table["split"] == "train", self.images.catalog.groups()
            good = learned & table["label"].map(is_good_label)
            parts = len(np.unique(groups[good]))
            if parts < LEAST_PARTS:
                raise CatalogError(
                    f"{root}: holds {counted(int(good.sum()), 'image')} of good parts, and "
                    f"{counted(parts, 'part')} can be told apart (near-copies count once). "
                    f"Photograph at least {LEAST_PARTS} different good parts; thirty or more are "
                    "worth it"
                )
            if self.recipe.memory.names:
                self._check_named(table["label"].where(learned, ""), groups)
            return
        splits = ("train", "val") if self.recipe.split.folds else SPLITS
        sizes = {split: int((table["split"] == split).sum()) for split in splits}
        counts = ", ".join(f"{count} in {split}" for split, count in sizes.items())
        if not all(sizes.values()) or sizes["train"] < LEAST_LEARNED:
            raise CatalogError(
                f"{root}: too few images are left to train with ({counts}). Add images, or mend "
                "those that were left out"
            )
        learned = table.loc[table["split"] == "train", "label"].nunique()
        if self.line.label_mode == "multiclass" and learned < LEAST_LEARNED:
            raise CatalogError(
                f"{root}: all images to learn from are of one class ({counts}). Add images of the "
                "others, or mend those that were left out"
            )

    def _check_named(self, labels: pd.Series, groups: NDArray[np.str_]) -> None:
        """labels: (N,) of the images to learn from, empty of others."""
        for name in self.line.defect_names:
            parts = len(np.unique(groups[labels == name]))
            if name != DEVIATION and parts < LEAST_NAMED:
                raise CatalogError(
                    f"{self.images.catalog.root}: {counted(parts, 'part shows', 'parts show')} "
                    f"{name} among the images to learn from (near-copies count once), and at least "
                    f"{LEAST_NAMED} are needed to know it by name. Label more, or call those "
                    f"'{DEVIATION}' until there are"
                )

    def folds(self) -> Iterator[TrainingTask]:
        """The task once for each fold of the recipe, which is the split `test` there; nothing
        where the recipe has no folds."""
        for number, images in enumerate(fold_splits(self.images, self.recipe.split)):
            yield replace(self, images=images, fold=number)

    @cached_property
    def mask_classes(self) -> tuple[str, ...]:
        """The classes whose masks are learned, in the line's order."""
        return self.recipe.mask_classes(self.line)

    @cached_property
    def learned(self) -> ImageSet:
        """The images less those to learn from that contradict their own photo group."""
        if self.line.label_mode == "multilabel":
            return self.images
        return without_contradictions(self.images)

    @cached_property
    def training(self) -> PlacedImages:
        """The images to learn from, as the model is served them."""
        return self._placed("train")

    @cached_property
    def validation(self) -> PlacedImages:
        """The images that the training is followed and the bundle calibrated on."""
        return self._placed("val")

    def _placed(self, split: str) -> PlacedImages:
        images = self.learned.subset(split)
        drawn = () if self.recipe.memory else self.mask_classes  # a memory's masks are not learned
        return PlacedImages(images, self.line, self.recipe.preprocessing, drawn)

    def varied(self) -> VariedImages:
        """The images to learn from, each time varied as the recipe says."""
        how = self.recipe.augmentation
        return VariedImages(self.training, Augment(how, self.recipe.preprocessing), how.paste)

    @cached_property
    def objective(self) -> Objective:
        """What is minimised, weighted by what the images to learn from hold."""
        return Objective(self.recipe, self.line, self.training)

    def network(self) -> Network:
        """The recipe's network with fresh weights."""
        return fresh_network(self.recipe, self.line)

    def trained_network(self, weights: Path) -> Network:
        """The recipe's network with the weights of a finished run."""
        network = self.network()
        network.load_state_dict(load_file(weights))
        return network


def fresh_network(recipe: Recipe, line: Line) -> Network:
    """The network of a recipe for the classes of a line, with fresh weights. Raises ValueError
    for an architecture or options that are not known, RecipeError for masks of no defect."""
    options = dict(recipe.options)
    if recipe.drop_path:
        options["drop_path"] = recipe.drop_path
    return build_network(
        recipe.architecture,
        line.class_names,
        recipe.preprocessing.channels,
        pooling=recipe.pooling,
        mask_classes=recipe.mask_classes(line),
        options=options,
    )
