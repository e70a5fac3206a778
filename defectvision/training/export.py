"""From a trained run to a bundle folder that the app serves."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file
from sklearn.decomposition import PCA
from torch import nn

from defectvision.bundle.policy import Policy
from defectvision.bundle.schema import MODEL_FILE, WEIGHTS_FILE, Bundle, Foreign, Preprocessing
from defectvision.bundle.writer import file_hash, write_about
from defectvision.inference.gate import foreign_distance
from defectvision.inference.runtime import MASKS, OUTPUTS
from defectvision.models.prediction import Network
from defectvision.training.task import TrainingTask

log = logging.getLogger(__name__)
FOREIGN_COMPONENTS = 24
FOREIGN_FILE = "foreign.npz"

ForeignFit = tuple[dict[str, NDArray[Any]], float]  # the arrays of its file, and the limit


def to_half(model: nn.Module) -> dict[str, torch.Tensor]:
    """Round the model's weights to fp16 in place, and return them as fp16.

    What is served and what is shipped for fine-tuning are thus the same numbers.
    """
    halves = {}
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point():
            half = tensor.to(torch.float16)
            if not torch.isfinite(half).all():
                raise ValueError(f"{name} does not fit into fp16; train with more weight decay")
            tensor.copy_(half.float())
            halves[name] = half.contiguous()
        else:
            halves[name] = tensor.contiguous()
    return halves


def unfolded(model: nn.Module, shape: Preprocessing) -> onnx.ModelProto:
    """The model with its outputs and all its numbers as they are: with batch norms folded, others
    would be rounded to fp16."""
    return to_graph(model, (shape.height, shape.width), shape.channels, fold=False)


def to_graph(
    model: nn.Module, size: tuple[int, int], channels: int, fold: bool = True
) -> onnx.ModelProto:
    """The model with its outputs, for any number of images of `size` (height, width) at a time;
    fold: batch norms are folded into the convolutions before them."""
    model.eval()
    for part in model.modules():
        if isinstance(part, nn.Hardtanh):  # in place, each takes the exporter a tenth of a second
            part.inplace = False
    example = torch.zeros(2, channels, *size)
    with torch.inference_mode():
        answered = model(example)._fields
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter warns of its own internals
        program = torch.onnx.export(
            model,
            (example,),
            input_names=["images"],
            output_names=[name for name in (*OUTPUTS, MASKS) if name in answered],
            dynamic_shapes={"image": {0: torch.export.Dim("batch")}},
            dynamo=True,
            optimize=fold,
            verbose=False,
        )
    if program is None:
        raise RuntimeError("the network could not be exported to ONNX")
    return program.model_proto


def renumbered(graph: onnx.ModelProto, model: nn.Module) -> onnx.ModelProto:
    """The same graph with the numbers that the model has now. The exporter names arrays as the
    model does, and only what is named so is taken over: of a graph without folded batch norms,
    all that the model learned."""
    numbers = model.state_dict()
    fresh = onnx.ModelProto()
    fresh.CopyFrom(graph)
    for array in fresh.graph.initializer:
        if array.name in numbers:
            array.CopyFrom(numpy_helper.from_array(numbers[array.name].numpy(), array.name))
    return fresh


def write_graph(model: onnx.ModelProto, file: Path) -> None:
    """Write the graph with its large fp32 weights stored as fp16, and without the exporter's
    notes."""
    _drop_traces(model)
    _store_as_half(model)
    onnx.checker.check_model(model)
    onnx.save_model(model, str(file))


def _drop_traces(model: onnx.ModelProto) -> None:
    """Remove the exporter's notes on where in whose files each node was written."""
    graph = model.graph
    nodes = [*graph.node, *(node for function in model.functions for node in function.node)]
    for noted in (*nodes, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del noted.metadata_props[:]
    for whole in (model, graph, *model.functions):
        del whole.metadata_props[:]


def _store_as_half(model: onnx.ModelProto) -> None:
    """Replace each large fp32 initializer by an fp16 one and a cast back to fp32."""
    kept, casts = [], []
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if tensor.data_type != TensorProto.FLOAT or values.size < 256:
            kept.append(tensor)
            continue
        half = numpy_helper.from_array(values.astype(np.float16), tensor.name + "_half")
        kept.append(half)
        casts.append(helper.make_node("Cast", [half.name], [tensor.name], to=TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.initializer[:], model.graph.node[:], model.graph.value_info[:]
    model.graph.initializer.extend(kept)
    model.graph.node.extend(nodes)


def fit_foreign(train: NDArray[np.float32], val: NDArray[np.float32]) -> ForeignFit:
    """Statistics of the training embeddings (N, D), and the distance that 99 of 100 validation
    embeddings stay below, half as much again (validation sets are small)."""
    components = min(FOREIGN_COMPONENTS, len(train) - 1, train.shape[1])
    pca = PCA(components, random_state=0).fit(train)
    within = pca.transform(train)
    rest = np.linalg.norm(train - pca.inverse_transform(within), axis=1)
    usual = {
        "mean": pca.mean_.astype(np.float32),
        "components": pca.components_.astype(np.float16).astype(np.float32),
        "scale": np.maximum(within.std(0), 1e-6).astype(np.float32),
        "residual": np.array([max(float(np.median(rest)), 1e-6)], np.float32),
    }
    limit = 1.5 * float(np.percentile(foreign_distance(val, **usual), 99))
    stored = {**usual, "components": usual["components"].astype(np.float16)}
    return stored, limit


def write_bundle(
    folder: Path,
    model: Network,
    task: TrainingTask,
    name: str,
    *,
    temperature: float,
    policy: Policy,
    foreign: ForeignFit,
    provenance: dict[str, Any],
    graph: onnx.ModelProto | None = None,
) -> Bundle:
    """Write model.onnx, model.safetensors, foreign.npz and bundle.json into `folder`, with the
    hashes of all that lies there. graph: of the model, where it is exported already.

    Metrics are added by `record_metrics` once the served model has been evaluated.
    """
    folder.mkdir(parents=True, exist_ok=True)
    recipe, line = task.recipe, task.line
    shape = recipe.preprocessing
    save_file(to_half(model), folder / WEIGHTS_FILE)
    if graph is None:
        graph = unfolded(model, shape)
    write_graph(graph, folder / MODEL_FILE)
    statistics: dict[str, Any] = dict(foreign[0])
    np.savez_compressed(folder / FOREIGN_FILE, **statistics)
    bundle = Bundle(
        line=line.name,
        name=name,
        architecture=recipe.architecture,
        pooling=recipe.pooling,
        classes=line.class_names,
        preprocessing=shape,
        temperature=temperature,
        options=recipe.options,
        evidence_bias=tuple(model.evidence_bias.detach().tolist()),
        mask_classes=task.mask_classes,
        policy=policy,
        foreign=Foreign(file=FOREIGN_FILE, limit=foreign[1]),
        precision="fp16-weights",
        provenance=provenance,
        metrics=(),
        files={file.name: file_hash(file) for file in sorted(folder.iterdir())},
    )
    write_about(folder, bundle)
    return bundle
