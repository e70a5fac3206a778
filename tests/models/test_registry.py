"""One table over the registry: a new architecture gets these tests for free."""

import pytest
import torch

from defectvision.models import ARCHITECTURES, create_model


@pytest.fixture(params=sorted(ARCHITECTURES))
def architecture(request):
    return request.param


@pytest.mark.parametrize("pooling", ["mean", "strongest"])
def test_evidence_adds_up_to_the_logits(architecture, pooling):
    torch.manual_seed(0)
    model = create_model(architecture, 3, pooling=pooling).eval()
    torch.nn.init.normal_(model.head.weight)
    torch.nn.init.normal_(model.head.bias)
    with torch.inference_mode():
        answer = model(torch.randn(2, 1, 96, 160))
    assert answer.logits.shape == (2, 3)
    assert answer.evidence.shape == (2, 3, 6, 10)
    assert answer.embedding.ndim == 2
    total = answer.evidence.mean((2, 3)) + model.head.bias
    torch.testing.assert_close(total, answer.logits, atol=1e-4, rtol=1e-4)


def test_grid_at_224_is_at_least_14(architecture):
    with torch.inference_mode():
        answer = create_model(architecture, 2).eval()(torch.zeros(1, 1, 224, 224))
    assert min(answer.evidence.shape[2:]) >= 14


def test_every_weight_learns(architecture):
    model = create_model(architecture, 2, pooling="strongest").train()
    for module in model.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)  # timm starts residual branches at zero
    answer = model(torch.randn(4, 1, 64, 64))
    torch.nn.functional.cross_entropy(answer.logits, torch.tensor([0, 1, 0, 1])).backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still, f"no gradient reaches {still[:5]}"


def test_strongest_pooling_sees_a_small_defect_that_the_mean_dilutes():
    spot = torch.zeros(1, 1, 16, 16)
    spot[..., 3, 5] = 8.0
    model = create_model("efficientnet_lite0", 1, pooling="strongest")
    model.grid = torch.nn.Identity()
    model.grid.deepest = 1
    torch.nn.init.ones_(model.head.weight[:, :1].data)
    model.head.weight.data = model.head.weight.data[:, :1]
    strongest = model(spot).logits.item()
    model.pooling = "mean"
    assert strongest > 50 * model(spot).logits.item() > 0


def test_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="resnet50"):
        create_model("resnet5", 2)
