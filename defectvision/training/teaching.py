"""What a student learns from a teacher: its answers, and its features at two strides.

Answers as Hinton et al. 2015 (https://arxiv.org/abs/1503.02531), features through projections as
Romero et al. 2014 (https://arxiv.org/abs/1412.6550).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, cast

import timm
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from defectvision import atomic
from defectvision.models.prediction import Network

STRIDES = (16, 32)


class Answer(NamedTuple):
    """features: per stride (B, C, H/stride, W/stride); logits: (B, 1000), of ImageNet's classes."""

    features: list[Tensor]
    logits: Tensor


class WholeNetwork(Network):
    """A network of timm with its classifier, that also gives its features at STRIDES."""

    def __init__(self, name: str):
        super().__init__()
        self.backbone_name = name
        self.whole = timm.create_model(name, pretrained=False)
        channels: dict[int, int] = {}
        order: list[int] = []
        for row in cast("list[dict[str, int]]", self.whole.feature_info):
            channels[row["reduction"]] = row["num_chs"]
            order.append(row["reduction"])
        self.channels = tuple(channels[stride] for stride in STRIDES)
        self._at = [order.index(stride) for stride in STRIDES]
        expected = cast("dict[str, Sequence[float]]", self.whole.pretrained_cfg)
        self.mean: Tensor
        self.std: Tensor
        for key in ("mean", "std"):
            values = torch.tensor(expected[key])[:, None, None]
            self.register_buffer(key, values, persistent=False)

    @property
    def backbone(self) -> nn.Module:
        return self.whole

    def forward(self, image: Tensor) -> Answer:
        """image: (B, 3, H, W) from 0 to 1."""
        through = cast(Callable[..., tuple[Tensor, list[Tensor]]], self.whole.forward_intermediates)
        classify = cast(Callable[[Tensor], Tensor], self.whole.forward_head)
        last, features = through((image - self.mean) / self.std, indices=self._at)
        return Answer(features, classify(last))


class Student(nn.Module):
    """A network, and the projections that read the teacher's features from its own; these are
    thrown away."""

    def __init__(self, name: str, teacher_channels: Sequence[int]):
        super().__init__()
        self.network = WholeNetwork(name)
        self.projections = nn.ModuleList(
            nn.Conv2d(own, wanted, 1)
            for own, wanted in zip(self.network.channels, teacher_channels, strict=True)
        )

    def forward(self, image: Tensor) -> Answer:
        answer = self.network(image)
        read = [p(x) for p, x in zip(self.projections, answer.features, strict=True)]
        return Answer(read, answer.logits)


def losses(student: Answer, teacher: Answer, temperature: float) -> dict[str, Tensor]:
    """Per term a scalar: `answers`, the divergence of the softened answers in nats times the
    squared temperature; `stride16` and `stride32`, the share of the variance of the teacher's
    features, channel by channel, that the student leaves unexplained (1: it knows only the mean).
    """
    soft = functional.log_softmax(student.logits.float() / temperature, 1)
    wanted = functional.log_softmax(teacher.logits.float() / temperature, 1)
    answers = functional.kl_div(soft, wanted, reduction="batchmean", log_target=True)
    terms = {"answers": answers * temperature**2}
    for stride, read, features in zip(STRIDES, student.features, teacher.features, strict=True):
        even = functional.batch_norm(features.float(), None, None, training=True)
        terms[f"stride{stride}"] = functional.mse_loss(read.float(), even)
    return terms


def write_backbone(network: WholeNetwork, file: Path) -> None:
    """Weights in timm's naming, kernels as fp16, statistics as they are, without the classifier."""
    classifier = cast(Callable[[], nn.Module], network.whole.get_classifier)()
    own = {id(parameter) for parameter in classifier.parameters()}
    dropped = {name for name, p in network.whole.named_parameters() if id(p) in own}
    kept = {
        name: (x.half() if x.ndim > 1 else x).detach().cpu().contiguous()
        for name, x in network.whole.state_dict().items()
        if name not in dropped
    }
    with atomic.replacing(file) as fresh:
        save_file(kept, fresh)
