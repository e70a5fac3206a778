"""The one builder of a network, whatever it is for: to be trained, explained or exported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from safetensors.torch import load_file

from defectvision.bundle.reader import BundleError, check_file
from defectvision.bundle.schema import WEIGHTS_FILE, LoadedBundle
from defectvision.models.prediction import Network
from defectvision.models.registry import create_model


def build_network(
    architecture: str,
    class_names: Sequence[str],
    channels: int,
    *,
    pooling: str = "mean",
    mask_classes: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
) -> Network:
    """A network with fresh weights.

    class_names: in the order of the logits; mask_classes: those of them whose masks it draws,
    none for a network that names classes alone; options: the architecture's own. Raises ValueError
    for an unknown architecture, one that cannot do what is asked, or unknown options.
    """
    chosen = dict(options or {})
    if pooling != "mean":
        chosen["pooling"] = pooling
    if mask_classes:
        chosen["mask_classes"] = tuple(list(class_names).index(name) for name in mask_classes)
    return create_model(architecture, len(class_names), channels, **chosen)


def load_network(loaded: LoadedBundle) -> Network:
    """The torch model of a bundle, in fp32; raises BundleError where it has no usable weights."""
    bundle = loaded.bundle
    digest = bundle.files.get(WEIGHTS_FILE)
    if digest is None:
        raise BundleError(f"{loaded.folder}: has no {WEIGHTS_FILE}. Export the bundle again")
    check_file(loaded.folder, WEIGHTS_FILE, digest)
    try:
        network = build_network(
            bundle.architecture,
            bundle.classes,
            bundle.preprocessing.channels,
            pooling=bundle.pooling,
            mask_classes=bundle.mask_classes,
            options=bundle.options,
        )
        weights = load_file(loaded.folder / WEIGHTS_FILE)
        network.load_state_dict(
            {k: v.float() if v.is_floating_point() else v for k, v in weights.items()}
        )
    except (ValueError, RuntimeError) as error:
        raise BundleError(
            f"{loaded.folder / WEIGHTS_FILE}: does not fit architecture '{bundle.architecture}' "
            f"({error}). Export the bundle again"
        ) from error
    return network.eval()
