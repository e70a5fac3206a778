"""Each loss against values worked out by hand, and against an IoU counted pixel by pixel."""

import math

import pytest
import torch

from defectvision.training.losses import LOSSES

ONE = torch.ones(1)


def picture(values):
    """(1, K, 1, P) from rows of pixels."""
    return torch.tensor(values, dtype=torch.float32)[None, :, None, :]


def log_odds(p):
    return math.log(p / (1 - p))


def everywhere(masks):
    return torch.ones(len(masks), 1, *masks.shape[2:])


A, B = log_odds(0.8), log_odds(0.3)
# two pixels, the first defective: p = 0.8 and 0.3
BCE = -(math.log(0.8) + math.log(0.7)) / 2
DICE = 1 - 2 * 0.8 / (0.8 + 0.3 + 1)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("bce_dice", BCE + DICE),
        ("dice_nll", BCE + DICE),  # with one class, what it leaves is the background
        ("focal", -(0.2**2 * math.log(0.8) + 0.3**2 * math.log(0.7))),
        # errors 0.3 (background) and 0.2 (defect): 1 - IoU is 1/2 after the first, 1 after both
        ("lovasz_softmax", 0.5 * 0.3 + 0.5 * 0.2),
        ("lovasz_softmax_ce", 0.25 + BCE),
        # margins 1 + B on the background and 1 - A on the defect, which is met
        ("lovasz_hinge", 0.5 * (1 + B)),
    ],
)
def test_known_answers(name, wanted):
    masks = picture([[A, B]])
    found = LOSSES[name](masks, picture([[1, 0]]), everywhere(masks), ONE)
    assert found.item() == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize("name", LOSSES)
class TestEveryLoss:
    def setup_method(self):
        generator = torch.Generator().manual_seed(0)
        self.targets = torch.zeros(2, 3, 8, 12)
        self.targets[0, 0, 2:5, 3:6] = 1
        self.targets[1, 1, 4:, :2] = 1
        self.masks = torch.randn(2, 3, 8, 12, generator=generator)
        self.weights = torch.tensor([1.0, 2.0, 0.5])

    def lost(self, name, masks, weight=None):
        weight = everywhere(masks) if weight is None else weight
        return LOSSES[name](masks, self.targets, weight, self.weights)

    def test_perfect_is_nearly_nothing_and_the_opposite_is_much(self, name):
        right = 30 * (2 * self.targets - 1)
        assert 0 <= self.lost(name, right).item() < 1e-3
        assert self.lost(name, -right).item() > 0.9
        assert self.lost(name, right) < self.lost(name, self.masks) < self.lost(name, -right)

    def test_pixels_that_do_not_count_change_nothing(self, name):
        weight = everywhere(self.masks)
        weight[:, :, :, 6:] = 0
        other = self.masks.clone()
        other[..., 6:] = 9.0
        assert self.lost(name, self.masks, weight) == self.lost(name, other, weight)
        assert self.lost(name, self.masks) != self.lost(name, other)
        other.requires_grad_()
        self.lost(name, other, weight).backward()
        assert not other.grad[..., 6:].any() and other.grad[..., :6].any()

    @pytest.mark.parametrize("scale", [1.0, 50.0, 500.0])
    def test_gradients_are_finite_and_go_downhill(self, name, scale):
        masks = (scale * self.masks).requires_grad_()
        before = self.lost(name, masks)
        before.backward()
        assert masks.grad.isfinite().all() and masks.grad.any()
        step = 0.01 * scale / masks.grad.norm()
        assert self.lost(name, masks.detach() - step * masks.grad) < before

    def test_a_batch_without_pixels_to_count_gives_nothing(self, name):
        masks = self.masks.clone().requires_grad_()
        lost = self.lost(name, masks, 0 * everywhere(masks))
        lost.backward()
        assert lost.item() == 0 and not masks.grad.any()

    def test_a_heavier_class_counts_more(self, name):
        """Class 0 is missed, class 1 is met: with its weight the loss grows."""
        masks = 8 * (2 * self.targets - 1)
        masks[:, 0] = -8
        light, heavy = (
            LOSSES[name](masks, self.targets, everywhere(masks), torch.tensor([w, 1.0, 1.0]))
            for w in (0.5, 2.0)
        )
        assert heavy > 1.2 * light


def counted_iou(predicted, truth):
    """Intersection over union pixel by pixel; an empty pair is 1."""
    both = either = 0
    for p, t in zip(predicted.flatten().tolist(), truth.flatten().tolist(), strict=True):
        both += bool(p) and bool(t)
        either += bool(p) or bool(t)
    return both / either if either else 1.0


@pytest.mark.parametrize("seed", range(8))
def test_lovasz_is_one_minus_iou_on_hard_predictions(seed):
    """On corners of the cube the surrogate equals what it stands for (Berman et al., prop. 3)."""
    generator = torch.Generator().manual_seed(seed)
    truth = (torch.rand(1, 1, 5, 7, generator=generator) > 0.7).float()
    predicted = (torch.rand(1, 1, 5, 7, generator=generator) > 0.6).float()
    wanted = 1 - counted_iou(predicted, truth)
    hard = 100 * (2 * predicted - 1)
    found = LOSSES["lovasz_softmax"](hard, truth, everywhere(hard), ONE)
    assert found.item() == pytest.approx(wanted, abs=1e-5)
    # the hinge counts a wrong pixel of margin -1 as 2
    found = LOSSES["lovasz_hinge"](hard / 100, truth, everywhere(hard), ONE)
    assert found.item() == pytest.approx(2 * wanted, abs=1e-5)


def test_an_overclaimed_background_is_unlearned():
    """Two sigmoids that claim 0.9 each leave less than nothing: both are pushed down."""
    masks = picture([[log_odds(0.9)], [log_odds(0.9)]]).requires_grad_()
    LOSSES["dice_nll"](masks, torch.zeros_like(masks), everywhere(masks), torch.ones(2)).backward()
    assert (masks.grad > 0).all() and masks.grad.max() < 1000
