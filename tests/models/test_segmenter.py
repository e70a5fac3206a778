"""What a segmenting network becomes in the wrapper, and how large the named ones are."""

import pytest
import torch
from torch import nn

from defectvision.models import create_model
from defectvision.models.encoders import EncodedNet
from defectvision.models.segmenter import FeatureNet, Segmenter, log_odds


class OneBrightPlace(FeatureNet):
    """A net whose only feature is the image."""

    stride, upscale, width = 16, 1, 1

    def __init__(self, channels):
        super().__init__()
        self.same = nn.Identity()

    @property
    def explained(self):
        return self.same

    def forward(self, image):
        return self.same(image), image


@pytest.mark.parametrize(
    ("name", "million"), [("unet", 14.3), ("multiscale_unet", 6.5), ("fcn", 1.2)]
)
def test_number_of_parameters(name, million):
    model = create_model(name, 4)
    assert sum(p.numel() for p in model.parameters()) == pytest.approx(million * 1e6, rel=0.02)


def test_softmax_scores_become_log_odds():
    scores = torch.tensor([0.0, 1.0, 3.0]).reshape(1, 3, 1, 1)
    found = log_odds(scores).flatten()
    p = scores.softmax(1).flatten()[1:]
    torch.testing.assert_close(found, (p / (1 - p)).log())
    # where a class is certain its probability rounds to 1, the log-odds still tell how certain
    torch.testing.assert_close(log_odds(torch.tensor([0.0, 90.0]).reshape(1, 2, 1, 1)).item(), 90.0)


@pytest.mark.parametrize("activation", ["sigmoid", "softmax"])
@pytest.mark.parametrize("size", [(224, 224), (64, 400), (33, 250)])
def test_masks_are_the_size_of_the_image_and_start_rare(activation, size):
    model = create_model("fcn", 4, activation=activation, mask_classes=[1, 2, 3]).eval()
    with torch.inference_mode():
        answer = model(torch.randn(1, 1, *size))
    assert answer.masks.shape == (1, 3, *size)
    assert answer.masks.sigmoid().mean().item() == pytest.approx(0.1, abs=0.05)
    assert answer.evidence.shape[2:] == (-(-size[0] // 16), -(-size[1] // 16))


def test_a_class_without_masks_has_no_evidence_and_keeps_its_bias():
    model = create_model("fcn", 3, mask_classes=(2, 1)).eval()
    with torch.no_grad():
        model.bias.copy_(torch.tensor([1.5, 0.0, 0.25]))
        model.head.bias.copy_(torch.tensor([-2.0, -3.0]))
        model.head.weight.zero_()
        answer = model(torch.randn(1, 1, 32, 32))
    assert answer.evidence[:, 0].abs().max() == 0
    # mask 0 is of class 2, mask 1 of class 1
    assert answer.logits.tolist() == [[1.5, -3.0, -1.75]]


def test_one_defect_of_a_cell_decides_the_logit():
    """16 of 1024 places certain: the mean hardly moves, the strongest pooling does."""
    model = Segmenter(OneBrightPlace, 1)
    with torch.no_grad():
        model.head.weight.fill_(1)
        model.head.bias.fill_(-8)
        image = torch.zeros(1, 1, 512, 512)
        image[..., 160:176, 320:336] = 24
        answer = model(image)
    assert answer.evidence[0, 0].argmax().item() == 10 * 32 + 20
    assert answer.logits.item() == pytest.approx(0.5 * 16 + 0.5 * (-8 + 24 / 1024), abs=0.01)
    torch.testing.assert_close(answer.evidence.mean((2, 3)) + model.bias, answer.logits)


@pytest.mark.parametrize(
    ("options", "said"),
    [({"activation": "relu"}, "sigmoid or softmax"), ({"mask_classes": (4,)}, "from 0 to 3")],
)
def test_wrong_options_are_named(options, said):
    with pytest.raises(ValueError, match=said):
        create_model("fcn", 4, **options)


def test_nothing_is_downloaded(monkeypatch):
    import timm.models

    def refuse(*args, **kwargs):
        raise AssertionError("a constructor asked for weights")

    monkeypatch.setattr(timm.models._builder, "load_pretrained", refuse)
    net = EncodedNet(1, "unet", "resnet18")
    assert net.backbone_name == "resnet18" and net.backbone.conv1.in_channels == 1
