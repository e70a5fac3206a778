"""A memory of good parts as a network: distances, the map, and what it refuses."""

from __future__ import annotations

import pytest
import torch

from defectvision.models import create_model
from defectvision.models.memory import PatchMemory


@pytest.fixture(scope="module")
def network() -> PatchMemory:
    torch.manual_seed(0)
    made = create_model("memory_efficientnet_lite0", 2, vectors=64).eval()
    assert isinstance(made, PatchMemory)
    return made


def remember(network: PatchMemory, image: torch.Tensor) -> None:
    with torch.inference_mode():
        places = network.places(image)[0].flatten(1).T
    network.memory = places[torch.randperm(len(places))[: len(network.memory)]].clone()


def test_distances_are_those_to_the_nearest_place(network):
    described = torch.randn(2, network.places.channels, 4, 5)
    network.memory = torch.randn(64, network.places.channels)
    network.scale.copy_(torch.rand(network.places.channels) + 0.5)
    with torch.inference_mode():
        found, fine = network.distances(described)
    places = (described * network.scale[:, None, None]).permute(0, 2, 3, 1)
    nearest = torch.cdist(places, network.memory).min(-1).values[:, None]
    wanted = torch.nn.functional.avg_pool2d(nearest, 3, 1, 1, count_include_pad=False)
    torch.testing.assert_close(found, wanted, atol=1e-3, rtol=1e-3)
    assert (fine < found).all()  # of fewer features, to the nearest by them alone


def test_what_is_remembered_is_at_no_distance_and_a_mark_on_it_is(network):
    image = torch.zeros(1, 1, 64, 64)
    image[:, :, ::8] = 1
    network.memory = torch.zeros(64, network.places.channels)
    network.scale.fill_(1)
    with torch.inference_mode():
        places = network.places(image)[0].flatten(1).T
        network.memory = places
        assert network.distances(network.places(image))[0].max() < 0.01 * places.norm(dim=1).mean()
        marked = image.clone()
        marked[:, :, 40:48, 8:16] = -2
        answer = network(marked)
    strongest = int(answer.masks[0, 0].argmax())
    row, column = divmod(strongest, 8)
    assert abs(row - 5) <= 2
    assert abs(column - 1) <= 2


def test_the_strongest_places_decide(network):
    distance = torch.ones(1, 1, 10, 10)
    distance[0, 0, 4, 7] = 9
    network.sharpness.fill_(2)
    assert network.weighed(distance).mean() == pytest.approx(9, abs=0.01)
    network.sharpness.fill_(0)
    assert network.weighed(distance).mean() == pytest.approx(1.08, abs=0.01)


@pytest.mark.parametrize(("classes", "masks"), [(3, (3,)), (2, (0,)), (2, (0, 1)), (1, (1,))])
def test_good_and_deviating_are_known_at_least(classes, masks):
    with pytest.raises(ValueError, match="knows good and deviating ones, then defects by name"):
        create_model("memory_efficientnet_lite0", classes, mask_classes=masks)
