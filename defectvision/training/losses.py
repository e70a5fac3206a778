"""Losses of masks. All have one signature, so that a recipe names them and mixes them.

masks: (B, K, H, W) log-odds of each class's pixels; targets: (B, K, H, W) float, 0 or 1;
weight: (B, 1, H, W), 0 where a pixel does not count (outside the picture, or unmarked), else how
much it counts (the Lovasz losses only tell 0 from the rest); class_weights: (K,), how much each
class counts. Each gives a scalar, 0 where no pixel counts; a perfect prediction gives nearly 0.

The Dice losses pool all pixels of a batch per class, so that an image without a class gives the
class no noise of its own; where the whole batch lacks a class its Dice is left to the other term.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor
from torch.nn import functional

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

TINY = 1e-6
FLOOR = 1e-3  # of the background's probability
FOCUS = 2.0  # gamma of the focal loss


def bce_dice(masks: Tensor, targets: Tensor, weight: Tensor, class_weights: Tensor) -> Tensor:
    """Binary cross-entropy of every pixel plus soft Dice of every class."""
    every = functional.binary_cross_entropy_with_logits(masks, targets, reduction="none")
    return _pixel_mean(every, weight, class_weights) + _dice(
        masks.sigmoid(), targets, weight, class_weights
    )


def dice_nll(masks: Tensor, targets: Tensor, weight: Tensor, class_weights: Tensor) -> Tensor:
    """Negative log-likelihood of a pixel's one class, or the background, plus soft Dice."""
    return _nll(masks, targets, weight, class_weights) + _dice(
        masks.sigmoid(), targets, weight, class_weights
    )


def focal(masks: Tensor, targets: Tensor, weight: Tensor, class_weights: Tensor) -> Tensor:
    """Cross-entropy that forgets the pixels that are right already, by (1 - p)^2
    (Lin et al. 2017, https://arxiv.org/abs/1708.02002); summed over the pixels and divided by
    the number of defective ones, as there, since the mean would be of background alone."""
    every = functional.binary_cross_entropy_with_logits(masks, targets, reduction="none")
    missing = torch.where(targets > 0.5, -masks, masks).sigmoid()
    lost = (missing**FOCUS * every * weight * _shape(class_weights)).sum()
    return lost / (targets * weight).sum().clamp_min(1.0)


def lovasz_hinge(masks: Tensor, targets: Tensor, weight: Tensor, class_weights: Tensor) -> Tensor:
    """The convex surrogate of 1 - IoU on margins (Berman et al. 2018,
    https://arxiv.org/abs/1705.08790), for classes that may overlap; per class over the batch."""
    losses = []
    for scores, truth in _by_class(masks, targets, weight):
        margins = 1 - scores * (2 * truth - 1)
        losses.append(_lovasz(functional.relu(margins), truth))
    return _weighted_mean(losses, class_weights, masks)


def lovasz_softmax(masks: Tensor, targets: Tensor, weight: Tensor, class_weights: Tensor) -> Tensor:
    """The convex surrogate of 1 - IoU on probabilities (Berman et al. 2018), averaged over the
    classes that the batch shows."""
    losses, shown = [], []
    for scores, truth in _by_class(masks, targets, weight):
        errors = (truth - scores.sigmoid()).abs()
        losses.append(_lovasz(errors, truth))
        shown.append(truth.any())
    present = torch.stack(shown).to(class_weights)
    return _weighted_mean(losses, class_weights * present, masks)


def lovasz_softmax_ce(
    masks: Tensor, targets: Tensor, weight: Tensor, class_weights: Tensor
) -> Tensor:
    """Lovasz softmax plus class-weighted cross-entropy, which also teaches the background."""
    return lovasz_softmax(masks, targets, weight, class_weights) + _nll(
        masks, targets, weight, class_weights
    )


LOSSES: dict[str, Loss] = {
    "bce_dice": bce_dice,
    "dice_nll": dice_nll,
    "focal": focal,
    "lovasz_hinge": lovasz_hinge,
    "lovasz_softmax": lovasz_softmax,
    "lovasz_softmax_ce": lovasz_softmax_ce,
}


def _nll(masks: Tensor, targets: Tensor, weight: Tensor, class_weights: Tensor) -> Tensor:
    """-log of the probability of what each pixel is; background is what no class claims. A pixel
    of several classes counts for each. Background weighs 1."""
    own = -functional.logsigmoid(masks) * targets * _shape(class_weights)
    claimed = masks.sigmoid().sum(1, keepdim=True)
    rest = 1 - claimed
    free = (targets.sum(1, keepdim=True) == 0).to(masks.dtype)
    lost = (own.sum(1, keepdim=True) - free * _log(rest)) * weight
    return lost.sum() / weight.sum().clamp_min(TINY)


def _log(rest: Tensor) -> Tensor:
    """log, and below FLOOR its tangent: independent sigmoids may claim more than there is, and
    that must be unlearned with a gradient that is neither 0 nor without bound."""
    return rest.clamp_min(FLOOR).log() + (rest.clamp_max(FLOOR) - FLOOR) / FLOOR


def _dice(p: Tensor, targets: Tensor, weight: Tensor, class_weights: Tensor) -> Tensor:
    """1 - soft Dice (Milletari et al. 2016, https://arxiv.org/abs/1606.04797) of the classes that
    the batch shows."""
    both = (p * targets * weight).sum((0, 2, 3))
    size = ((p + targets) * weight).sum((0, 2, 3))
    shown = ((targets * weight).sum((0, 2, 3)) > 0).to(class_weights)
    weights = class_weights * shown
    lost = 1 - 2 * both / size.clamp_min(TINY)
    return (lost * weights).sum() / weights.sum().clamp_min(TINY)


def _pixel_mean(every: Tensor, weight: Tensor, class_weights: Tensor) -> Tensor:
    weights = weight * _shape(class_weights)
    return (every * weights).sum() / weights.sum().clamp_min(TINY)


def _lovasz(errors: Tensor, truth: Tensor) -> Tensor:
    """errors (P,) weighed by how much IoU each costs when the larger ones are wrong already.

    Of an empty class only the worst pixel counts: one false pixel costs all of the IoU. Pixels
    without an error would come last and add nothing, so they are not sorted.
    """
    total = truth.sum()
    wrong = (errors.detach() > 0).nonzero()[:, 0]
    errors, truth = errors[wrong], truth[wrong]
    if not len(errors):
        return errors.sum()
    ranks = errors.detach().argsort(descending=True)
    sorted_truth = truth[ranks]
    left = total - sorted_truth.cumsum(0)
    union = total + (1 - sorted_truth).cumsum(0)
    jaccard = 1 - left / union
    steps = torch.cat([jaccard[:1], jaccard[1:] - jaccard[:-1]])
    return (errors[ranks] * steps).sum()


def _by_class(masks: Tensor, targets: Tensor, weight: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Of each class the log-odds and the truth (P,) of the pixels that count."""
    each = zip(masks.transpose(0, 1).flatten(1), targets.transpose(0, 1).flatten(1), strict=True)
    counted = weight.flatten() > 0
    if counted.all():
        yield from each
        return
    rows = counted.nonzero()[:, 0]
    for scores, truth in each:
        yield scores[rows], truth[rows]


def _weighted_mean(losses: list[Tensor], weights: Tensor, masks: Tensor) -> Tensor:
    # masks.sum() * 0 keeps a batch without any counted class differentiable.
    total = (torch.stack(losses) * weights).sum() / weights.sum().clamp_min(TINY)
    return total + masks.sum() * 0


def _shape(class_weights: Tensor) -> Tensor:
    return class_weights[None, :, None, None]
