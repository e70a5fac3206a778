"""Pretrained weights: where they come from, which models take them, and what is refused."""

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

from defectvision.models import create_model
from defectvision.training import pretrained
from defectvision.training.pretrained import PretrainedError, load_pretrained


def test_package_fills_the_backbone_for_grey_images():
    colour = create_model("efficientnet_lite0", 2, channels=3)
    grey = create_model("efficientnet_lite0", 2, channels=1)
    for model in (colour, grey):
        assert "efficientnet_lite0" in load_pretrained(model, "auto")
    image = torch.randn(1, 1, 64, 64)
    with torch.inference_mode():
        a = colour.eval().grid(image.repeat(1, 3, 1, 1))
        b = grey.eval().grid(image)
    torch.testing.assert_close(a, b, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(
    "architecture",
    ["joint_efficientnet_lite0", "unet_efficientnet_lite0", "fpn_efficientnet_lite0"],
)
def test_a_segmenting_model_takes_the_package_and_a_classifiers_run(tmp_path, architecture):
    classifier = create_model("efficientnet_lite0", 2)
    load_pretrained(classifier, "auto")
    wanted = classifier.backbone.state_dict()
    save_file(classifier.state_dict(), tmp_path / "run.safetensors")
    for source in ("auto", str(tmp_path / "run.safetensors")):
        model = create_model(architecture, 4)
        load_pretrained(model, source)
        found = model.backbone.state_dict()
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.slow
@pytest.mark.parametrize(
    "architecture", ["xception", "joint_efficientnet_lite0", "unet_resnet18", "efficientnet_lite0"]
)
def test_a_run_of_its_own_kind_fits(tmp_path, architecture):
    first, second = (create_model(architecture, 2) for _ in range(2))
    save_file(first.state_dict(), tmp_path / "run.safetensors")
    load_pretrained(second, str(tmp_path / "run.safetensors"))
    for a, b in zip(first.backbone.parameters(), second.backbone.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_file_in_timms_naming_and_what_is_missing(tmp_path):
    model, other = (create_model("unet_resnet18", 2) for _ in range(2))
    torch.save(model.backbone.state_dict(), tmp_path / "own.pt")
    assert "own.pt" in load_pretrained(other, str(tmp_path / "own.pt"))
    torch.testing.assert_close(other.backbone.conv1.weight, model.backbone.conv1.weight)
    with pytest.raises(PretrainedError, match="no such file"):
        load_pretrained(other, str(tmp_path / "none.pt"))
    with pytest.raises(PretrainedError, match="missing"):
        torch.save({}, tmp_path / "empty.pt")
        load_pretrained(other, str(tmp_path / "empty.pt"))
    wide = {**model.backbone.state_dict(), "conv1.weight": torch.zeros(64, 1, 5, 5)}
    with pytest.raises(PretrainedError, match=r"conv1\.weight is \(64, 1, 5, 5\)"):
        torch.save(wide, tmp_path / "wide.pt")
        load_pretrained(other, str(tmp_path / "wide.pt"))


@pytest.mark.parametrize(
    "architecture", ["resnet50", "unet_resnet50", "joint_resnet50", "fpn_resnet50"]
)
def test_what_the_project_carries_is_found_without_a_hub(architecture, monkeypatch):
    def no_hub(name, pretrained=False, **options):
        assert not pretrained, "asked a hub"
        return create(name, **options)

    create = timm.create_model
    monkeypatch.setattr(timm, "create_model", no_hub)
    model = create_model(architecture, 3)
    assert "resnet50.safetensors" in load_pretrained(model, "auto")
    carried = load_file(pretrained.CARRIED / "resnet50.safetensors")
    kernel = model.backbone.state_dict()["layer4.2.conv3.weight"]
    assert torch.equal(kernel, carried["layer4.2.conv3.weight"].float())


def test_a_hub_is_asked_where_it_is_named(monkeypatch):
    asked = []

    def hub(name, pretrained=False, **options):
        asked.append(pretrained)
        raise OSError("no route")

    model = create_model("resnet50", 2)
    monkeypatch.setattr(timm, "create_model", hub)
    with pytest.raises(PretrainedError, match="nothing here carries them and the hub gave none"):
        load_pretrained(model, "hub")
    assert asked == [True]


def test_a_model_without_a_backbone_says_so():
    model = create_model("fcn", 2)
    assert load_pretrained(model, "none") == "fresh weights"
    with pytest.raises(PretrainedError, match="no backbone"):
        load_pretrained(model, "auto")
