"""The head of a classifier alone, on a pretrained backbone that stays as it is.

With the plain mean the logits of an EvidenceClassifier are linear in the mean of its grid, so the
best head is a logistic regression: no steps, no rate. How strongly it is held back is chosen by
folds of photo groups among the images to learn from.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import Progress
from safetensors.torch import save_file
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from torch.utils.data import Subset

from defectvision import atomic
from defectvision.models.classifier import EvidenceClassifier
from defectvision.models.prediction import bias_of
from defectvision.training.checkpoint import WEIGHTS
from defectvision.training.dataset import PlacedImages
from defectvision.training.prediction import batches
from defectvision.training.pretrained import load_pretrained
from defectvision.training.progress import Tell
from defectvision.training.recipe import RecipeError
from defectvision.training.task import TrainingTask

log = logging.getLogger(__name__)

STRENGTHS = (0.001, 0.01, 0.1, 1.0)  # of a regression: the lower, the more it is held back
USUAL_STRENGTH = 0.01  # where too few photo groups are there to choose by
FOLDS = 5
BATCH = 8
NEVER = -20.0  # log-odds of a class that no image to learn from shows


class HeadTraining:
    """Learns heads for one set of images, each of which the backbone sees once."""

    def __init__(self) -> None:
        self._seen: dict[str, NDArray[np.float32]] = {}

    def train(self, task: TrainingTask, run: Path) -> Path:
        """As `loop.train`: `run/weights.safetensors`, the network with the head that fits the
        images to learn from. Raises RecipeError for a network that is no EvidenceClassifier."""
        weights = run / WEIGHTS
        if weights.is_file():
            log.info("%s: this run is finished", run)
            return weights
        network = task.network().eval()
        if not isinstance(network, EvidenceClassifier):
            raise RecipeError(
                f"architecture: the head of {task.recipe.architecture} cannot be learned alone; "
                "take `frozen` out of the recipe, or name a classifier such as efficientnet_lite0"
            )
        log.info(load_pretrained(network, task.recipe.pretrained))
        with Progress(console=Console(stderr=True)) as bars:
            tell = Tell(run if task.fold is None else run.parent, bars)
            with tell.step("looking at the images", len(task.training)) as advance:
                features = self._features(network, task.training, advance)
            with tell.step("learning the head", 0):
                weight, bias = _head(features, task)
        with torch.no_grad():
            network.head.weight.copy_(torch.from_numpy(weight)[:, :, None, None])
            bias_of(network.head).copy_(torch.from_numpy(bias))
        run.mkdir(parents=True, exist_ok=True)
        with atomic.replacing(weights) as fresh:
            save_file({k: v.contiguous() for k, v in network.state_dict().items()}, fresh)
        return weights

    @torch.inference_mode()
    def _features(
        self, network: EvidenceClassifier, images: PlacedImages, advance: Callable[[], None]
    ) -> NDArray[np.float32]:
        """(N, D), the mean of each image's grid."""
        paths = images.images.catalog.table["path"].tolist()
        new = [row for row, path in enumerate(paths) if path not in self._seen]
        rows = iter(new)
        for batch in batches(Subset(images, new), BATCH):
            grid = network.grid(batch.image.contiguous(memory_format=torch.channels_last))
            for mean in grid.mean((2, 3)).numpy():
                self._seen[paths[next(rows)]] = mean
                advance()
        return np.stack([self._seen[path] for path in paths])


def _head(
    features: NDArray[np.float32], task: TrainingTask
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights (C, D) and biases (C,) of the head that fits features (N, D) of the images to learn
    from."""
    images, classes = task.training, len(task.line.class_names)
    weight = np.zeros((classes, features.shape[1]))
    bias = np.full(classes, NEVER)
    groups = images.images.catalog.groups()
    if images.targets.ndim == 2:
        for number, shown in enumerate(images.targets.T > 0):
            if shown.any() and not shown.all():
                weight[[number]], bias[[number]] = regression(features, shown, groups)
            elif shown.all():
                bias[number] = -NEVER
    else:
        known = np.unique(images.targets)
        found = regression(features, images.targets, groups)
        weight[known], bias[known] = found if len(known) > 2 else _of_two(*found)
    return weight.astype(np.float32), bias.astype(np.float32)


def _of_two(
    weight: NDArray[np.float64], bias: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The log-odds (1, D) of the second of two classes as a logit of each."""
    return np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2


def regression(
    features: NDArray[np.float32], targets: NDArray[np.generic], groups: NDArray[np.str_]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Coefficients and intercepts on the features as they are; of the second class alone where
    there are two. Classes count alike."""
    held_back = LogisticRegression(C=USUAL_STRENGTH, class_weight="balanced", max_iter=2000)
    model = Pipeline([("scale", StandardScaler()), ("fit", held_back)])
    parts = min(len(np.unique(groups[targets == one])) for one in np.unique(targets))
    if parts >= 2:
        folds = StratifiedGroupKFold(min(FOLDS, parts), shuffle=True, random_state=0)
        splits = [
            split
            for split in folds.split(features, targets, groups)
            if all(set(targets[part]) == set(targets) for part in split)
        ]
        if splits:
            search = GridSearchCV(model, {"fit__C": STRENGTHS}, scoring="neg_log_loss", cv=splits)
            model.set_params(**search.fit(features, targets).best_params_)
    log.info("strength of the regression: %g", model["fit"].C)
    model.fit(features, targets)
    scale, fit = model["scale"], model["fit"]
    weight = fit.coef_ / scale.scale_
    return weight, fit.intercept_ - weight @ scale.mean_
