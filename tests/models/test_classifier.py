"""How the evidence of places becomes one logit."""

import pytest
import torch

from defectvision.models import create_model
from defectvision.models.prediction import weigh_places


@pytest.mark.parametrize("architecture", ["efficientnet_lite0", "joint_efficientnet_lite0"])
@pytest.mark.parametrize("pooling", ["mean", "strongest"])
def test_evidence_adds_up_under_either_pooling(architecture, pooling):
    torch.manual_seed(0)
    model = create_model(architecture, 3, pooling=pooling).eval()
    torch.nn.init.normal_(model.head.weight)
    torch.nn.init.normal_(model.head.bias)
    with torch.inference_mode():
        answer = model(torch.randn(2, 1, 96, 160))
    assert answer.evidence.shape == (2, 3, 6, 10)
    total = answer.evidence.mean((2, 3)) + model.evidence_bias
    torch.testing.assert_close(total, answer.logits, atol=1e-4, rtol=1e-4)


def test_strongest_pooling_sees_a_small_defect_that_the_mean_dilutes():
    spot = torch.zeros(1, 1, 16, 16)
    spot[..., 3, 5] = 8.0
    strongest, mean = (weigh_places(spot, p).mean().item() for p in ("strongest", "mean"))
    assert mean == pytest.approx(8 / 256)
    # softmax gives the spot e^8 / (e^8 + 255): half of 8 times that, and half of the mean
    peak = 2980.958 / (2980.958 + 255)
    assert strongest == pytest.approx(4 * peak + 4 / 256, rel=1e-4)
