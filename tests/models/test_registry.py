"""One table over the registry: a new architecture gets these tests for free."""

import copy
import io
import warnings

import numpy as np
import onnxruntime
import pytest
import torch
from torch.nn import functional

from defectvision.models import ARCHITECTURES, create_model
from defectvision.models.memory import PatchMemory
from defectvision.models.prediction import Network, SegmentingPrediction

ODD = (47, 129)
USUAL = (64, 96)


@pytest.fixture(params=sorted(ARCHITECTURES), scope="module")
def model(request):
    """Made once for all tests of its architecture: none of them changes what it answers."""
    torch.manual_seed(0)
    made = create_model(request.param, 3)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.ones_(module.weight)  # timm starts residual branches at zero
    with torch.no_grad():
        (made.head.bias if isinstance(made, PatchMemory) else made.evidence_bias).normal_()
    return made


@pytest.mark.slow
@pytest.mark.parametrize("size", [ODD, USUAL])
def test_evidence_adds_up_to_the_logits_at_any_size(model, size):
    with torch.inference_mode():
        answer = model.eval()(torch.randn(2, 1, *size))
    classes = len(model.evidence_bias)
    assert answer.logits.shape == (2, classes)
    assert answer.embedding.ndim == 2 and len(answer.embedding) == 2
    total = answer.evidence.mean((2, 3)) + model.evidence_bias
    torch.testing.assert_close(total, answer.logits, atol=1e-4, rtol=1e-4)
    assert answer.evidence.std() > 0
    if isinstance(answer, SegmentingPrediction):
        assert answer.masks.dtype == torch.float32
        stride = getattr(model, "mask_stride", 1)
        drawn = 1 if isinstance(model, PatchMemory) else classes
        assert answer.masks.shape == (2, drawn, *(-(-side // stride) for side in size))


@pytest.mark.slow
def test_grid_at_224_is_at_least_14(model):
    with torch.inference_mode():
        answer = model.eval()(torch.zeros(1, 1, 224, 224))
    assert min(answer.evidence.shape[2:]) >= 14


@pytest.mark.slow
def test_every_weight_learns(model):
    if isinstance(model, PatchMemory):
        pytest.skip("remembers and learns no weight")
    model.zero_grad()
    answer = model.train()(torch.randn(4, 1, *USUAL))
    loss = functional.cross_entropy(answer.logits, torch.tensor([0, 1, 0, 1]))
    if isinstance(answer, SegmentingPrediction):
        loss = loss + answer.masks.square().mean()
    loss.backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert not still, f"no gradient reaches {still[:5]}"
    wild = [n for n, p in model.named_parameters() if not p.grad.isfinite().all()]
    assert not wild, f"infinite gradients at {wild[:5]}"


@pytest.mark.slow
def test_exported_and_copied_models_answer_the_same(model):
    """What is served is an export for any batch, what is averaged is a deep copy."""
    model.eval()
    images = torch.randn(3, 1, *USUAL)
    program = torch.export.export(
        model, (images[:2],), dynamic_shapes={"image": {0: torch.export.Dim("batch")}}
    )
    with torch.inference_mode():
        wanted = model(images)
        for answer in (copy.deepcopy(model)(images), program.module()(images)):
            for name, own in wanted._asdict().items():
                torch.testing.assert_close(getattr(answer, name), own, atol=1e-4, rtol=1e-3)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "size"), [("joint_efficientnet_lite0", USUAL), ("fcn", ODD)])
def test_onnx_runtime_answers_the_same(name, size):
    """One network of each kind; at an odd size the padding is part of the graph."""
    torch.manual_seed(0)
    model = create_model(name, 3, mask_classes=(0, 2)).eval()
    images = torch.randn(3, 1, *size)
    with torch.inference_mode():
        wanted = model(images)
    names = list(wanted._fields)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            model,
            (images[:2],),
            input_names=["images"],
            output_names=names,
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            dynamo=True,
            optimize=False,
            verbose=False,
        )
    file = io.BytesIO()
    program.save(file)
    session = onnxruntime.InferenceSession(file.getvalue(), providers=["CPUExecutionProvider"])
    for found, own in zip(session.run(names, {"images": images.numpy()}), wanted, strict=True):
        np.testing.assert_allclose(found, own.numpy(), atol=1e-4, rtol=1e-3)


@pytest.mark.slow
def test_the_explained_module_is_asked(model):
    """Its output decides the answer: a gradient of every logit reaches it."""
    seen = []
    handle = model.explained.register_forward_hook(lambda m, i, out: seen.append(out))
    answer = model.train()(torch.randn(2, 1, *USUAL))
    handle.remove()
    assert len(seen) == 1 and seen[0].ndim == 4
    (gradient,) = torch.autograd.grad(answer.logits.sum(), seen[0])
    assert gradient.any()


def test_every_model_keeps_the_contract(model):
    """What training, export and heatmaps ask of a model, they ask of the base class."""
    assert isinstance(model, Network)
    assert model.evidence_bias.ndim == 1
    assert model.explained in set(model.modules())


def test_the_backbone_is_timms_and_part_of_the_model(model):
    if model.backbone is None:
        assert model.backbone_name is None
        return
    own = {id(p) for p in model.parameters()}
    inside = list(model.backbone.parameters())
    assert inside and all(id(p) in own for p in inside)


def test_unknown_name_is_answered_with_the_known_ones():
    with pytest.raises(ValueError, match="resnet50"):
        create_model("resnet5", 2)
