"""The joint model: its masks' grid, its size, and what it shares with the classifier."""

import pytest
import torch

from defectvision.models import create_model

NAME = "joint_efficientnet_lite0"


@pytest.mark.parametrize(
    ("stride", "size", "masks"),
    [(2, (64, 96), (32, 48)), (4, (64, 96), (16, 24)), (2, (47, 33), (24, 17))],
)
def test_masks_lie_on_a_grid_of_their_stride(stride, size, masks):
    model = create_model(NAME, 6, mask_classes=(1, 2, 5), mask_stride=stride).eval()
    with torch.inference_mode():
        answer = model(torch.randn(1, 1, *size))
    assert answer.logits.shape == (1, 6)
    assert answer.masks.shape == (1, 3, *masks)
    # before training every pixel is one in ten likely to be defective
    assert answer.masks.sigmoid().mean().item() == pytest.approx(0.1, abs=0.05)


def test_padding_moves_nothing():
    """The masks of a picture of an odd size are those of the same picture padded by hand."""
    model = create_model(NAME, 2).eval()
    image = torch.randn(1, 1, 40, 50)
    padded = torch.nn.functional.pad(image, (0, 14, 0, 24), mode="replicate")
    with torch.inference_mode():
        torch.testing.assert_close(model(image).masks, model(padded).masks[:, :, :20, :25])


@pytest.mark.parametrize("weighing", ["softmax", "sigmoid"])
def test_a_mask_is_weighed_by_its_label_once_the_model_is_finished(weighing):
    plain = create_model(NAME, 4, mask_classes=(1, 3)).eval()
    weighed = create_model(NAME, 4, mask_classes=(1, 3), weighing=weighing).eval()
    weighed.load_state_dict(plain.state_dict())
    image = torch.randn(2, 1, 64, 64)
    with torch.inference_mode():
        before, after = plain(image), weighed(image)
    torch.testing.assert_close(before.logits, after.logits)
    held = before.logits.softmax(1) if weighing == "softmax" else before.logits.sigmoid()
    wanted = before.masks.sigmoid() * held[:, [1, 3], None, None]
    torch.testing.assert_close(after.masks.sigmoid(), wanted, atol=1e-5, rtol=1e-4)
    learning = []
    for model in (plain.train(), weighed.train()):
        torch.manual_seed(0)  # the same paths are dropped
        learning.append(model(image).masks)
    torch.testing.assert_close(*learning)


@pytest.mark.parametrize(("backbone", "most"), [("efficientnet_lite0", 2e6), ("resnet50", 3e6)])
def test_the_decoder_stays_small(backbone, most):
    model = create_model(f"joint_{backbone}", 6)
    assert 1e6 < sum(p.numel() for p in model.decoder.parameters()) < most


def test_the_encoder_fits_a_trained_classifiers():
    classifier = create_model("efficientnet_lite0", 2)
    joint = create_model(NAME, 2)
    joint.backbone.load_state_dict(classifier.backbone.state_dict())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"mask_stride": 3}, "2 or 4"),
        ({"weighing": "mean"}, "softmax"),
        ({"mask_classes": (0, 6)}, "from 0 to 5"),
        ({"mask_classes": (1, 1)}, "different"),
        ({"mask_classes": ()}, "mask_classes"),
    ],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        create_model(NAME, 6, **options)
