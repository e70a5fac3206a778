"""Layers that begin from nothing may learn faster than a pretrained backbone."""

from __future__ import annotations

import pytest
import torch

from defectvision.models import create_model
from defectvision.training.recipe import Recipe
from defectvision.training.schedule import rated, step_schedule

PLACED = {"height": 64, "width": 64, "fit": "stretch", "channels": 1}


def recipe(**changes: object) -> Recipe:
    told = {"architecture": "joint_efficientnet_lite0", "preprocessing": PLACED, **changes}
    return Recipe.model_validate(told)


def test_the_backbone_keeps_the_rate_and_the_rest_multiplies_it() -> None:
    model = create_model("joint_efficientnet_lite0", 3, 1)
    slow, fast = rated(model, recipe(pretrained="auto", learning_rate=0.001, fresh_rate=5))
    assert (slow["lr"], fast["lr"]) == (0.001, 0.005)
    names = {id(p): name for name, p in model.named_parameters()}
    assert all(names[id(p)].startswith("backbone.") for p in slow["params"])
    assert not any(names[id(p)].startswith("backbone.") for p in fast["params"])
    assert len(slow["params"]) + len(fast["params"]) == len(names)


@pytest.mark.parametrize(
    ("architecture", "changes"),
    [
        ("joint_efficientnet_lite0", {"pretrained": "auto"}),
        ("joint_efficientnet_lite0", {"pretrained": "none", "fresh_rate": 5}),
        ("fcn", {"pretrained": "none", "fresh_rate": 5}),
    ],
)
def test_one_rate_where_nothing_is_pretrained_or_asked_for(architecture, changes) -> None:
    model = create_model(architecture, 3, 1)
    (every,) = rated(model, recipe(architecture=architecture, **changes))
    assert every["lr"] == 0.001 and len(every["params"]) == len(list(model.parameters()))


@pytest.mark.parametrize("kind", ["cosine", "one_cycle", "constant"])
def test_a_schedule_moves_both_rates_alike(kind: str) -> None:
    model = create_model("joint_efficientnet_lite0", 3, 1)
    about = recipe(pretrained="auto", fresh_rate=5, schedule={"kind": kind})
    optimizer = torch.optim.AdamW(rated(model, about))
    schedule = step_schedule(about, optimizer, 20)
    for _ in range(10):
        slow, fast = (group["lr"] for group in optimizer.param_groups)
        assert fast == pytest.approx(5 * slow)
        optimizer.step()
        schedule.step()
