"""In which format a training computes, and which layers stay out of bf16."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from defectvision.models import create_model
from defectvision.training import precision


@pytest.mark.parametrize(
    ("wanted", "units", "chosen"),
    [
        ("fp32", {"amx_bf16": True}, "no"),
        ("bf16", {}, "bf16"),
        ("fp16", {}, "fp16"),
        ("auto", {}, "no"),
        ("auto", {"avx512_bf16": True}, "bf16"),
        ("auto", {"amx_bf16": True}, "bf16"),
    ],
)
def test_auto_takes_bf16_where_the_processor_multiplies_it(
    monkeypatch, wanted: str, units: dict[str, bool], chosen: str
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert precision.choose_precision(wanted) == chosen


def test_only_the_slow_layers_stay_in_fp32() -> None:
    layers = {
        "depthwise, 5": nn.Conv2d(8, 8, 5, groups=8),
        "depthwise, stride 2": nn.Conv2d(8, 8, 3, stride=2, groups=8),
        "depthwise, 3": nn.Conv2d(8, 8, 3, groups=8),
        "plain, 5": nn.Conv2d(8, 8, 5),
    }
    precision.keep_slow_gradients_fp32(nn.ModuleList(layers.values()))
    image = torch.randn(1, 8, 9, 9)
    with torch.autocast("cpu", torch.bfloat16):
        kinds = {name: layer(image).dtype for name, layer in layers.items()}
    assert kinds == {
        "depthwise, 5": torch.float32,
        "depthwise, stride 2": torch.float32,
        "depthwise, 3": torch.bfloat16,
        "plain, 5": torch.bfloat16,
    }


def test_answers_and_gradients_stay_the_same() -> None:
    torch.manual_seed(0)
    model = create_model("efficientnet_lite0", 2, 1).eval()
    image = torch.randn(2, 1, 64, 64)
    before = model(image).logits
    before.sum().backward()
    weight = next(p for n, p in model.named_parameters() if "conv_dw" in n)
    wanted, weight.grad = weight.grad, None
    precision.keep_slow_gradients_fp32(model)
    after = model(image).logits
    after.sum().backward()
    assert torch.equal(before, after)
    assert torch.allclose(weight.grad, wanted)
