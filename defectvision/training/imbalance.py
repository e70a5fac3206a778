"""What a training does about classes with few images: how their losses weigh, and how often their
images are drawn."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from defectvision.bundle.labels import is_good_name
from defectvision.bundle.line import Line
from defectvision.data.catalog import Catalog
from defectvision.training.recipe import Balance, Imbalance, RecipeError
from defectvision.training.targets import rarest_label

EFFECTIVE_BETA = 0.999


def loss_weights(counts: NDArray[np.int_], imbalance: Imbalance, line: Line) -> Tensor:
    """Loss weight per class of the line, mean 1: (C,) float32. From the recipe where it names
    numbers, else from `counts` (C,), the images of each class.

    Raises RecipeError where the recipe's numbers are not those of the line's classes.
    """
    if isinstance(imbalance.class_weights, dict):
        return _mean_one(np.array(named_weights(imbalance.class_weights, line)))
    return balanced(counts, imbalance.class_weights)


def balanced(counts: NDArray[np.int_], balance: Balance) -> Tensor:
    """Weight per class, mean 1: (C,) float32, from the examples (images or pixels) of each.

    `effective` weighs by the effective number of samples with beta = 0.999
    (Cui et al. 2019, https://arxiv.org/abs/1901.05555).
    """
    counts = np.maximum(counts, 1)
    if balance == "none":
        return _mean_one(np.ones(len(counts)))
    if balance == "inverse":
        return _mean_one(1 / counts)
    return _mean_one((1 - EFFECTIVE_BETA) / (1 - EFFECTIVE_BETA**counts))


def named_weights(weights: Mapping[str, float], line: Line) -> list[float]:
    """The weights of a recipe in the order of the line's classes.

    The good class may bear any name that means good, where the line has one: a set calls it
    `clean`, a line that was there before calls it `ok`. Raises RecipeError that names the class
    that the line lacks, or that has no weight.
    """
    known = {}
    for name, weight in weights.items():
        own = name
        if name not in line.class_names and is_good_name(name) and len(line.good_names) == 1:
            own = line.good_names[0]
        if own not in line.class_names:
            hint = (
                " Good is the absence of a defect there and has no weight."
                if is_good_name(name) and line.label_mode == "multilabel"
                else ""
            )
            raise RecipeError(
                f"imbalance.class_weights: '{name}' is no class of line '{line.name}', which has: "
                f"{', '.join(line.class_names)}.{hint}"
            )
        if own in known:
            raise RecipeError(
                f"imbalance.class_weights: '{name}' and another name mean the class '{own}'. "
                "Give one of them"
            )
        known[own] = weight
    if missing := [name for name in line.class_names if name not in known]:
        raise RecipeError(
            f"imbalance.class_weights: gives no weight for class '{missing[0]}' of line "
            f"'{line.name}'. Give one for each of: {', '.join(line.class_names)}"
        )
    return [known[name] for name in line.class_names]


def _mean_one(weights: NDArray[np.floating]) -> Tensor:
    return torch.tensor(weights / weights.mean(), dtype=torch.float32)


def sampling_weights(catalog: Catalog, imbalance: Imbalance) -> NDArray[np.float64] | None:
    """How often each image is drawn, relative to the others; None to take each once an epoch.

    `class` draws every class alike; `square_root` draws each in proportion to the root of its
    images, between that and their own shares (Kang et al. 2019, https://arxiv.org/abs/1910.09217),
    so that rare defects are learned and good surface is still seen often; `class_and_group` draws,
    within a class, every photo group alike, so that one photograph with ninety copies does not
    outweigh ninety photographs. An image of several classes counts for its rarest one.
    """
    if imbalance.sampling == "none":
        return None
    table = catalog.table.assign(group=catalog.groups(), label=rarest_label(catalog))
    in_class = table.groupby("label")["path"].transform("size")
    if imbalance.sampling == "class":
        return (1 / in_class).to_numpy(float)
    if imbalance.sampling == "square_root":
        return (in_class**-0.5).to_numpy(float)
    groups_in_class = table.groupby("label")["group"].transform("nunique")
    in_group = table.groupby(["label", "group"])["path"].transform("size")
    return (1 / (groups_in_class * in_group)).to_numpy(float)


def epoch_order(
    weights: NDArray[np.float64] | None, images: int, samples: int, seed: int
) -> NDArray[np.int_]:
    """Indices of one epoch; the same for the same seed, so that a resumed epoch goes on."""
    rng = np.random.default_rng(seed)
    if weights is None:
        laps = -(-samples // images)
        return np.concatenate([rng.permutation(images) for _ in range(laps)])[:samples]
    return rng.choice(images, samples, p=weights / weights.sum())
